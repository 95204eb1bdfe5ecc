"""Which codec a message to one neighbour takes: always the same, or by how fast its link is.

Pure: sizes and times are arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from tfplus.codecs.codec import Codec
from tfplus.gossip.compression.registry import FLOAT32, LINK_CODECS, link_codec

AUTO = "auto"
# From what loses nothing to what loses most; top-k leaves out too much to be taken unasked.
_STEPS = (FLOAT32, "float16", "int8")
_SHARE = 0.25
_NEWEST = 0.5


class Choice(Protocol):
    """Chooses the codec of one message after the other, on one link. Not thread-safe."""

    def choose(self, values: int, now_s: float) -> Codec:
        """The codec of the message that is made now, of so many values."""
        ...

    def took(self, sent_bytes: int, seconds: float) -> None:
        """A message came through: its size, and how long it was on its way."""
        ...


class Always:
    """One codec for all messages."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def choose(self, values: int, now_s: float) -> Codec:
        """See `Choice`."""
        return self._codec

    def took(self, sent_bytes: int, seconds: float) -> None:
        """See `Choice`."""


class BySpeed:
    """The codec that loses least, among those whose bytes the link brings in its share of a round.

    A round is the time between two messages, a speed what messages took from their first byte to
    the neighbour's answer, the newest counted half. float32 until both are known.

    Args:
      share: of a round that sending may take, between 0 and 1.
    """

    def __init__(self, share: float = _SHARE) -> None:
        self._share = share
        self._bytes_per_s: float | None = None
        self._last_s: float | None = None

    def choose(self, values: int, now_s: float) -> Codec:
        """See `Choice`."""
        last_s, self._last_s = self._last_s, now_s
        room = math.inf
        if last_s is not None and self._bytes_per_s is not None:
            room = self._bytes_per_s * self._share * (now_s - last_s)
        fitting = (n for n in _STEPS if LINK_CODECS[n].size_bytes(values) <= room)
        return LINK_CODECS[next(fitting, _STEPS[-1])]

    def took(self, sent_bytes: int, seconds: float) -> None:
        """See `Choice`."""
        if sent_bytes <= 0 or seconds <= 0:
            return
        speed, known = sent_bytes / seconds, self._bytes_per_s
        self._bytes_per_s = speed if known is None else known + _NEWEST * (speed - known)


def choice(name: str) -> Callable[[], Choice]:
    """What makes the choice of a link, by what a run's codec is called.

    Args:
      name: of `registry.link_codec`, or `auto`.

    Raises:
      UsageError: there is no such codec; the message names the nearest.
    """
    if name == AUTO:
        return BySpeed
    codec = link_codec(checked(name))
    return lambda: Always(codec)


def checked(name: str) -> str:
    """What a run's codec is called in full: `top-k` names its share.

    Raises:
      UsageError: as for `choice`.
    """
    return AUTO if name == AUTO else link_codec(name, beside=(AUTO,)).name
