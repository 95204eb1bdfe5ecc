"""What is learned: samples for the desk (no device has them), for devices, and held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.demo import digits


@dataclass(frozen=True)
class Samples:
    """Images as the network takes them, float32 [n, h, w, c], and their classes, int32 [n]."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: npt.NDArray[np.intp]) -> Samples:
        """The samples at these places."""
        return Samples(self.x[index], self.y[index])

    def of(self, classes: tuple[int, ...]) -> Samples:
        """The samples of some classes."""
        return self.take(np.flatnonzero(np.isin(self.y, classes)))


@dataclass(frozen=True)
class Task:
    """A data set, split by a seed.

    Attributes:
      name: of the data.
      classes: how many.
      desk: samples for the start.
      train: samples for devices.
      test: held out.
    """

    name: str
    classes: int
    desk: Samples
    train: Samples
    test: Samples

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image."""
        return self.train.x.shape[1:]


def load(path: Path | None, seed: int, limit: int | None, desk_part: float) -> Task:
    """Scikit-learn's digits, or an `.npz` with x_train, y_train, x_test and y_test.

    Args:
      path: of the file; None for digits.
      seed: splits.
      limit: of training samples.
      desk_part: of them, what the start is trained on.
    """
    rng = np.random.default_rng([seed, 1])
    if path is None:
        found = digits.load()
        every = Samples(found.x.astype(np.float32) / 16, found.y)
        train, test = _split(every, 1 - digits.HELD_OUT, rng)
        name = "digits"
    else:
        with np.load(path) as arrays:
            train, test = (_scaled(arrays[f"x_{s}"], arrays[f"y_{s}"]) for s in ("train", "test"))
        name = path.stem
    if limit is not None and limit < len(train):
        train, _ = _split(train, limit / len(train), rng)
    desk, train = _split(train, desk_part, rng)
    return Task(name, int(test.y.max()) + 1, desk, train, test)


def deal(samples: Samples, holders: dict[str, tuple[int, ...]], seed: int) -> dict[str, Samples]:
    """Deals samples to devices: each to one, a class evenly to those that know it."""
    rng = np.random.default_rng([seed, 2])
    dealt: dict[str, list[npt.NDArray[np.intp]]] = {name: [] for name in holders}
    for label in np.unique(samples.y):
        knowing = [name for name, classes in holders.items() if label in classes]
        places = rng.permutation(np.flatnonzero(samples.y == label))
        for name, part in zip(knowing, np.array_split(places, len(knowing)), strict=True):
            dealt[name].append(part)
    return {name: samples.take(np.concatenate(parts)) for name, parts in dealt.items()}


def _split(samples: Samples, part: float, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """A part of every class, and the rest."""
    taken: list[npt.NDArray[np.intp]] = []
    rest: list[npt.NDArray[np.intp]] = []
    for label in np.unique(samples.y):
        places = rng.permutation(np.flatnonzero(samples.y == label))
        count = round(part * len(places))
        taken.append(places[:count])
        rest.append(places[count:])
    return samples.take(np.concatenate(taken)), samples.take(np.concatenate(rest))


def _scaled(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> Samples:
    """Bytes from −1 to 1; a spectrogram without channels gets one."""
    images = x.astype(np.float32) / 127.5 - 1
    images = images[..., None] if images.ndim == 3 else images
    return Samples(images, y.reshape(-1).astype(np.int32))
