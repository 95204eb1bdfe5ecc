"""How far apart two steps lead, what float32 explains of that, and what may be left."""
