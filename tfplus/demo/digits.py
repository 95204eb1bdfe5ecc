"""Scikit-learn's handwritten digits, dealt to devices that know five digits each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.errors import MissingExtraError
from tfplus.gossip.membership.topology import ring

# Who knows which digits: neighbours on the ring share some (Chen & Qin's four devices).
RING: Mapping[str, tuple[int, ...]] = {
    "device-1": (9, 0, 1, 2, 3),
    "device-2": (2, 3, 4, 5, 6),
    "device-3": (5, 6, 7, 8, 9),
    "device-4": (8, 9, 0, 1, 2),
}
HELD_OUT = 0.25
# Of the others: what the model is trained on before it is cut by class; no device has them.
DESK = 0.4


def with_neighbours(known: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The classes that each device or one of its neighbours on the ring knows.

    A device whose sub-model has no branch for a class cannot learn what tells its own classes from
    it.

    Args:
      known: device → classes that it has samples of, in the order of the ring.

    Returns:
      device → its own classes, then those that only a neighbour knows, in ascending order.
    """
    neighbours = ring(list(known))
    return {
        name: (
            *own,
            *sorted({c for n in neighbours[name] for c in known[n]} - set(own)),
        )
        for name, own in known.items()
    }


@dataclass(frozen=True)
class Samples:
    """Images, uint8 [n, 8, 8, 1] with values 0 to 16, and their digits, int32 [n]."""

    x: npt.NDArray[np.uint8]
    y: npt.NDArray[np.int32]

    def take(self, index: npt.NDArray[np.intp]) -> Samples:
        """The samples at these places."""
        return Samples(self.x[index], self.y[index])


def load() -> Samples:
    """Loads the 1797 digits that come with scikit-learn.

    Raises:
      MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("tfplus demo", "demo") from error
    images, labels = load_digits(return_X_y=True)
    return Samples(np.asarray(images, np.uint8).reshape(-1, 8, 8, 1), np.asarray(labels, np.int32))


def split(samples: Samples, held_out: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Splits into training and held-out samples, class by class.

    Args:
      samples: all of them.
      held_out: fraction of every class that is held out.
      rng: draws which.
    """
    train: list[npt.NDArray[np.intp]] = []
    kept: list[npt.NDArray[np.intp]] = []
    for label in np.unique(samples.y):
        places = rng.permutation(np.flatnonzero(samples.y == label))
        count = round(held_out * len(places))
        kept.append(places[:count])
        train.append(places[count:])
    return samples.take(np.concatenate(train)), samples.take(np.concatenate(kept))


def deal(
    samples: Samples, holders: Mapping[str, Sequence[int]], rng: np.random.Generator
) -> dict[str, Samples]:
    """Deals samples to devices: each one to one device, a class evenly to those that know it.

    Args:
      samples: to deal out; those of a class that nobody knows are left over.
      holders: device → classes that it knows.
      rng: draws who gets which.
    """
    dealt: dict[str, list[npt.NDArray[np.intp]]] = {name: [] for name in holders}
    for label in np.unique(samples.y):
        knowing = [name for name, classes in holders.items() if label in classes]
        places = rng.permutation(np.flatnonzero(samples.y == label))
        if knowing:
            for name, part in zip(knowing, np.array_split(places, len(knowing)), strict=True):
                dealt[name].append(part)
    return {name: samples.take(np.concatenate(parts)) for name, parts in dealt.items()}
