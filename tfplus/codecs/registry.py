"""All codecs by name: a new one is a file of its own and a line here."""

from __future__ import annotations

from tfplus.codecs.cast import FLOAT16, FLOAT32
from tfplus.codecs.codec import Codec
from tfplus.codecs.int8 import INT8
from tfplus.errors import UsageError

CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        FLOAT32,
        FLOAT16,
        INT8,
    )
}


def codec(name: str) -> Codec:
    """Returns the codec of that name.

    Raises:
      UsageError: there is none.

    Examples:
      >>> codec("int8").size_bytes(1000)
      1000
    """
    if name not in CODECS:
        raise UsageError(f"codec '{name}': expected one of {', '.join(CODECS)}")
    return CODECS[name]
