"""One direction of a link with a codec: what is sent, what is kept, what the neighbour then holds.

The sender knows what the neighbour holds, x̂, and sends the codec's version of the difference,

    q = C(x − x̂),        x̂ ← x̂ + q    on both sides, as soon as the neighbour has said that it came.

What the codec leaves out of x is in the next difference: that is the error feedback, and it stays
at the sender. As x settles differences shrink, and the codec's error with them. Sums are float32 on
both sides, so both hold the same bits; each message says on which state it builds, and a neighbour
that holds another one gets whole values.

Source: Koloskova, Stich, Jaggi, "Decentralized stochastic optimization and gossip algorithms with
compressed communication", ICML 2019 (CHOCO-SGD), here with one x̂ a link.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.codecs.codec import Codec, Encoded
from tfplus.errors import TensorError, UsageError
from tfplus.gossip.compression.registry import FLOAT32, LINK_CODECS, link_codec
from tfplus.gossip.compression.top_k import TopK
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire.limits import DEFAULT_LIMITS

# Below that a place or a scale costs more than it saves.
_FEW_VALUES = 16
_SCALE_BYTES = 4
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Coded:
    """One tensor on its way.

    Attributes:
      codec: of the bytes.
      shape: of the tensor.
      encoded: the values, or their difference from what the neighbour holds.
    """

    codec: str
    shape: tuple[int, ...]
    encoded: Encoded


@dataclass(frozen=True)
class Packed:
    """A contribution's tensors on their way.

    Attributes:
      number: of the state that it leads to; the first is 1.
      base: of the state that it builds on; 0 for whole values.
      tensors: name → its bytes; a slice that stayed the same is left out.
      names: all slices in order.
    """

    number: int
    base: int
    tensors: Mapping[str, Coded]
    names: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of values and scales, without names and shapes."""
        return sum(
            len(c.encoded.raw) + (_SCALE_BYTES if link_codec(c.codec).scaled else 0)
            for c in self.tensors.values()
        )


class LinkSender:
    """The sending side. Not thread-safe.

    Args:
      codec: of differences, unless `pack` is given another.
      wanted: names of the slices that the neighbour holds; None for all.
    """

    def __init__(self, codec: Codec, wanted: frozenset[str] | None = None) -> None:
        self._codec = codec
        self._wanted = wanted
        self._held: dict[str, Tensor] = {}
        self._held_number = 0
        self._last_number = 0
        self._coming: dict[int, dict[str, Tensor]] = {}

    def pack(self, tensors: Tensors, codec: Codec | None = None) -> Packed:
        """Codes what the neighbour lacks of float32 tensors; `acknowledged` says that it came."""
        self._codec = codec or self._codec
        self._last_number += 1
        coded: dict[str, Coded] = {}
        state: dict[str, Tensor] = {}
        for name, value in tensors.items():
            if self._wanted is not None and name not in self._wanted:
                continue
            held = self._held.get(name)
            if held is not None and np.array_equal(held, value):
                state[name] = held
                continue
            coded[name] = self._coded(name, _as_float32(name, value), held)
            state[name] = _applied(name, coded[name], held)
        self._coming[self._last_number] = state
        return Packed(self._last_number, self._held_number, coded, tuple(state))

    def _coded(self, name: str, value: npt.NDArray[np.float32], held: Tensor | None) -> Coded:
        codec = self._codec
        # Without anything held, top-k would leave out most of the values themselves.
        nothing_yet = held is None and isinstance(codec, TopK)
        if value.size >= _FEW_VALUES and codec.name != FLOAT32 and not nothing_yet:
            with np.errstate(over="ignore", invalid="ignore"):
                given = value if held is None else value - _as_float32(name, held)
            if np.isfinite(given).all():
                # What the codec cannot hold is sent as it is.
                with contextlib.suppress(TensorError):
                    return Coded(codec.name, value.shape, codec.encode(name, given))
        return Coded(FLOAT32, value.shape, LINK_CODECS[FLOAT32].encode(name, value))

    def leads_to(self, number: int) -> Mapping[str, Tensor]:
        """What the neighbour holds once the message of that number has come, as long as it may."""
        return self._coming[number]

    def gave_up(self) -> None:
        """No message under way will be acknowledged; what the neighbour holds stays."""
        self._coming.clear()

    def acknowledged(self, number: int) -> None:
        """The neighbour holds the state of that number; earlier messages no longer matter."""
        state = self._coming.get(number)
        if state is not None and number > self._held_number:
            self._held, self._held_number = state, number
            self._coming = {n: s for n, s in self._coming.items() if n > number}

    def lost(self) -> None:
        """The neighbour holds nothing that is known here: whole values are sent next."""
        self._held, self._held_number = {}, 0
        self._coming.clear()


class LinkReceiver:
    """The receiving side. Not thread-safe.

    Args:
      max_bytes: of a state as float32.
    """

    def __init__(self, max_bytes: int = DEFAULT_LIMITS.set_bytes) -> None:
        self._max_bytes = max_bytes
        self._states: dict[int, Mapping[str, Tensor]] = {0: {}}
        self._newest = 0

    def unpack(self, packed: Packed) -> SliceSet | None:
        """Rebuilds tensors; None if the state that they build on is not held: ask for all.

        Raises:
          TensorError: bytes that are not those of such a tensor, or too many values. That all are
            finite is not looked at.
        """
        base = self._states.get(packed.base)
        if base is None or any(n not in base and n not in packed.tensors for n in packed.names):
            return None
        size = sum(
            _FLOAT32_BYTES * math.prod(packed.tensors[n].shape)
            if n in packed.tensors
            else base[n].nbytes
            for n in packed.names
        )
        if size > self._max_bytes:
            raise TensorError(f"expected at most {self._max_bytes} bytes of tensors, got {size}")
        state = {
            name: base[name]
            if name not in packed.tensors
            else _applied(name, packed.tensors[name], base.get(name))
            for name in packed.names
        }
        if packed.number > self._newest:
            # What the sender may still build on: its base, and what it has just sent.
            self._states = {0: {}, packed.base: base, packed.number: state}
            self._newest = packed.number
        return SliceSet(state)


def _applied(name: str, coded: Coded, held: Tensor | None) -> Tensor:
    codec = known_codec(name, coded.codec)
    # Whole values of float32 are exact: to add them to something would round.
    if coded.codec == FLOAT32:
        held = None
    elif held is not None and held.shape != coded.shape:
        raise TensorError(
            f"tensor '{name}': expected a difference of shape {list(held.shape)}, got "
            f"{list(coded.shape)}"
        )
    elif held is None and isinstance(codec, TopK):
        # A few bytes would stand for a tensor of any size.
        raise TensorError(f"tensor '{name}': expected whole values first, got {coded.codec}")
    # What is beyond float32 is found by whoever looks for infinity.
    with np.errstate(over="ignore", invalid="ignore"):
        value = codec.decode(coded.encoded, math.prod(coded.shape)).reshape(coded.shape)
        return value if held is None else _as_float32(name, held) + _as_float32(name, value)


def known_codec(tensor: str, name: str) -> Codec:
    """The codec that a message names.

    Raises:
      TensorError: there is none of that name here.
    """
    try:
        return link_codec(name)
    except UsageError:
        raise TensorError(f"tensor '{tensor}': codec {name[:40]!r} is not known here") from None


def _as_float32(name: str, value: Tensor) -> npt.NDArray[np.float32]:
    if value.dtype != np.float32:
        raise TensorError(f"tensor '{name}': expected float32 for a codec, got {value.dtype}")
    return value.astype(np.float32, copy=False)
