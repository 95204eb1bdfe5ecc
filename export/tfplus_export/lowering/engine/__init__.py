"""How rules are chosen and run: replay forward, then a walk backwards over what was recorded."""
