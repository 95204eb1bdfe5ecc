"""The order of an epoch's samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def order(
    samples: int, keys: npt.NDArray[np.int64] | None, rng: np.random.Generator | None
) -> npt.NDArray[np.int64]:
    """Indices of all samples in the order in which an epoch takes them.

    Where samples come and go, each is put in its place by its own key alone: two samples keep their
    order whichever others are there, on any machine and after any restart.

    Args:
      samples: how many.
      keys: int64 [samples], unique; None where samples do not come and go.
      rng: shuffles; None keeps them as they are stored.
    """
    if rng is None:
        return np.arange(samples)
    if keys is None:
        return rng.permutation(samples)
    salt = rng.integers(2**64, dtype=np.uint64)
    return np.argsort(_mixed(keys.astype(np.uint64) ^ salt), kind="stable")


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finalizer: a bijection, so that no two samples fall on one place."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
