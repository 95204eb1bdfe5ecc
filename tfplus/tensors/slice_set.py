"""Named tensors that nobody changes, each hashed at most once.

A state goes from the worker through messages, transport, journal and checkpoint. All of them look
at the same arrays, and several ask for the same SHA-256: whoever asks first computes it, every set
that holds the array knows it from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from tfplus.tensors.hashing import in_parallel, tensor_hash
from tfplus.tensors.slices import Tensor, Tensors, all_finite, hash_of_layouts

_NO_HASHES: Mapping[str, bytes] = MappingProxyType({})


@lru_cache(maxsize=64)
def _name_of(dtype: np.dtype[Any]) -> str:
    # numpy puts a name together whenever it is asked.
    return dtype.name


class _Slice:
    """One array and, once somebody asked, its hash; several sets may hold it."""

    __slots__ = ("_finite", "_lock", "digest", "layout", "tensor")

    def __init__(self, tensor: Tensor, digest: bytes | None) -> None:
        self.tensor = tensor.view()
        self.tensor.flags.writeable = False
        self.digest = digest
        self.layout = (tensor.shape, _name_of(tensor.dtype))
        self._finite: bool | None = None
        self._lock = threading.Lock()

    def hash(self) -> bytes:
        # Under a lock: those who send to several neighbours all ask at the same moment.
        with self._lock:
            if self.digest is None:
                self.digest = tensor_hash(self.tensor)
            return self.digest

    def finite(self) -> bool:
        # Found twice at the worst, where two ask at once.
        if self._finite is None:
            self._finite = all_finite(self.tensor)
        return self._finite


class SliceSet(Mapping[str, Tensor]):
    """Name → array, in a fixed order. The arrays are views that refuse to be written.

    Two sets are equal if they are the same object: contents are compared by their hashes.

    Args:
      tensors: name → array; whoever made it leaves the arrays as they are from now on.
      hashes: name → SHA-256 of arrays whose hash is known; it is believed, see `damaged`.

    Examples:
      >>> import numpy as np
      >>> held = SliceSet({"shared/k": np.ones(3, np.float32), "optimizer/m": np.zeros(3)})
      >>> held.size_bytes, list(held.only(["shared/k"]))
      (36, ['shared/k'])
    """

    __slots__ = ("_schema_hash", "_slices")

    def __init__(self, tensors: Tensors, hashes: Mapping[str, bytes] = _NO_HASHES) -> None:
        self._slices = {n: _Slice(t, hashes.get(n)) for n, t in tensors.items()}
        self._schema_hash = ""

    @classmethod
    def of(cls, tensors: Tensors) -> SliceSet:
        """Returns `tensors` themselves if they are such a set, else a new set of them."""
        return tensors if isinstance(tensors, cls) else cls(tensors)

    @classmethod
    def _over(cls, slices: dict[str, _Slice]) -> SliceSet:
        made = cls({})
        made._slices = slices
        return made

    def __getitem__(self, name: str) -> Tensor:
        """The array under a name, read-only."""
        return self._slices[name].tensor

    def __iter__(self) -> Iterator[str]:
        """Yields the names in order."""
        return iter(self._slices)

    def __len__(self) -> int:
        """How many tensors it holds."""
        return len(self._slices)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same object."""
        return self is other

    def __hash__(self) -> int:
        """By identity."""
        return id(self)

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(piece.tensor.nbytes for piece in self._slices.values())

    def layouts(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name → (shape, dtype) of each array."""
        return {name: piece.layout for name, piece in self._slices.items()}

    def schema_hash(self) -> str:
        """`slices.schema_hash` of the arrays; computed once."""
        if not self._schema_hash:
            self._schema_hash = hash_of_layouts(tuple(sorted(self.layouts().items())))
        return self._schema_hash

    def not_finite(self) -> list[str]:
        """Names of arrays that hold NaN or infinity; each array is looked through once."""
        return [name for name, piece in self._slices.items() if not piece.finite()]

    @property
    def known_hashes(self) -> dict[str, bytes]:
        """Name → SHA-256 of those whose hash is known by now; computes none."""
        return {n: s.digest for n, s in self._slices.items() if s.digest is not None}

    def hashes(self) -> dict[str, bytes]:
        """Name → SHA-256 of each array's little-endian bytes; computes what is not known yet."""
        unknown = [s for s in self._slices.values() if s.digest is None]
        in_parallel(_Slice.hash, unknown, sum(s.tensor.nbytes for s in unknown))
        return {name: piece.hash() for name, piece in self._slices.items()}

    def damaged(self) -> list[str]:
        """Names of arrays whose bytes do not have the hash that came with them.

        For arrays that were read under a hash that was known before; all of these are hashed.
        """
        given = [(n, s) for n, s in self._slices.items() if s.digest is not None]
        size_bytes = sum(s.tensor.nbytes for _, s in given)
        found = in_parallel(lambda pair: tensor_hash(pair[1].tensor), given, size_bytes)
        return [n for (n, s), digest in zip(given, found, strict=True) if digest != s.digest]

    def only(self, names: Iterable[str]) -> SliceSet:
        """Returns the set of some of its arrays, in the order of `names`; hashes are shared."""
        return self._over({name: self._slices[name] for name in names})

    def joined(self, other: Tensors) -> SliceSet:
        """Returns the set of its arrays and those of `other`; hashes are shared.

        Args:
          other: name → array, of other names.
        """
        return self._over({**self._slices, **SliceSet.of(other)._slices})

    def replaced(self, tensors: Tensors) -> SliceSet:
        """Returns a set with other arrays under some of its names; all else is shared.

        Args:
          tensors: name → array, of names that it holds.
        """
        others = SliceSet.of(tensors)
        return self._over({n: others._slices.get(n, s) for n, s in self._slices.items()})
