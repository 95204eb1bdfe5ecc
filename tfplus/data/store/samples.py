"""What goes into a store of samples, and what it tells of them."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

_COMMIT_BYTES = 8 << 20
_COMMIT_ROWS = 10_000


@dataclass(frozen=True)
class Added:
    """What became of a sample.

    Attributes:
      id: its number, never given again.
      new: whether it was not there before.
      label: that it has; another than was given where it was there and has been corrected.
    """

    id: int
    new: bool
    label: int


@dataclass(frozen=True)
class Listed:
    """A sample without its values."""

    id: int
    name: str
    label: int


@dataclass(frozen=True)
class Sample:
    """A sample that is to be stored; see `SampleStore.add`."""

    x: npt.NDArray[Any]
    label: int
    name: str | None = None


def batches(samples: Iterable[Sample]) -> Generator[list[Sample]]:
    """Samples that go into one commit; nobody waits for a caller while it is open."""
    some: list[Sample] = []
    size_bytes = 0
    for sample in samples:
        some.append(sample)
        size_bytes += sample.x.nbytes
        if size_bytes >= _COMMIT_BYTES or len(some) >= _COMMIT_ROWS:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some
