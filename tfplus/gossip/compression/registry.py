"""Codecs of links by name: those of all values, and top-k with its share."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.codecs.codec import Codec
from tfplus.codecs.registry import CODECS
from tfplus.errors import UsageError
from tfplus.gossip.compression.top_k import TOP_K, top_k_of

LINK_CODECS: dict[str, Codec] = {**CODECS, TOP_K.name: TOP_K}
FLOAT32 = "float32"
_SHARE = f"{TOP_K.name}:SHARE"
_ALIKE = 0.4


def link_codec(name: str, *, beside: Sequence[str] = ()) -> Codec:
    """Returns the codec of that name for links.

    Args:
      name: a key of `LINK_CODECS`, or `top-k:SHARE`.
      beside: what else could have been said, for the message.

    Raises:
      UsageError: there is none; the message names the nearest.

    Examples:
      >>> link_codec("int8").name, link_codec("top-k:0.02").name
      ('int8', 'top-k:0.02')
    """
    kind, colon, share = name.partition(":")
    if kind == TOP_K.name and colon:
        return top_k_of(share)
    if name not in LINK_CODECS:
        import difflib

        near = difflib.get_close_matches(name[:40].lower(), (*LINK_CODECS, *beside), 1, _ALIKE)
        meant = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join((*LINK_CODECS, _SHARE, *beside))
        raise UsageError(f"codec {name[:40]!r}: expected one of {known}{meant}")
    return LINK_CODECS[name]


def kind_of(name: str) -> str:
    """The key of `LINK_CODECS` that a name of `link_codec` belongs to; float32 if it is empty."""
    return name.partition(":")[0] or FLOAT32
