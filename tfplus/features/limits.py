"""How much of what frozen layers made stays on disk; known without opening any of it."""

DEFAULT_LIMIT_BYTES = 1 << 30
