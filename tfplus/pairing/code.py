"""The code that a person carries from one screen to the other: eight letters and digits."""

from __future__ import annotations

import secrets

from tfplus.errors import UsageError

# Crockford's base 32: none of its letters looks like another sign of it.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
_LENGTH = 8


def new() -> str:
    """Draws a code of 40 bits, such as `7KQF-2M9X`."""
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"{signs[:4]}-{signs[4:]}"


def parse(text: str) -> bytes:
    """The code as both sides use it, from what somebody typed: case and dashes do not matter.

    Raises:
      UsageError: it cannot be a code.
    """
    signs = text.strip().upper().replace("-", "").replace(" ", "").translate(_READ_AS)
    if len(signs) != _LENGTH or not set(signs) <= set(_ALPHABET):
        # What was typed may be most of a code: it is not repeated.
        raise UsageError(
            f"the code: expected {_LENGTH} letters and digits such as 7KQF-2M9X, as "
            "`tfplus agent pair` shows it on the device"
        )
    return signs.encode("ascii")
