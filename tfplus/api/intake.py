"""What an open model takes: arrays of samples, also where its step takes their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfplus.api import arrays
from tfplus.api.arrays import Arrays
from tfplus.data import device_data
from tfplus.data.dataset import Dataset
from tfplus.errors import UsageError
from tfplus.features import opening
from tfplus.features.opening import Features
from tfplus.model_file.manifest import Manifest


class Intake:
    """Makes the data sets that a model takes of what a user gives.

    Args:
      manifest: of the file, as it was read.
      features: of the same file; leaves samples as they are where the file takes them.

    Attributes:
      manifest: see above.
    """

    def __init__(self, manifest: Manifest, features: Features) -> None:
        self.manifest = manifest
        self._taken = opening.of_samples(manifest)
        self._features = features

    def to_learn(self, x: Arrays, y: Arrays, sample_weight: Any) -> tuple[Dataset, tuple[str, ...]]:
        """Samples for training, and what to tell of values that the model was not made for.

        Raises:
          DataError: they do not fit the model, or together.
        """
        samples = arrays.samples(x, y, sample_weight, self._taken, for_training=True)
        return self._features.of(samples), device_data.misfits(samples, self._taken)

    def to_judge(self, x: Arrays, y: Arrays) -> Dataset:
        """Samples for evaluation.

        Raises:
          DataError: they do not fit the model, or together.
        """
        samples = arrays.samples(x, y, None, self._taken, for_training=False)
        return self._features.of(samples)

    def held_out(self, given: Sequence[Any] | None) -> Dataset | None:
        """Samples for evaluation, of (x, y); None of None.

        Raises:
          DataError: they do not fit the model, or together.
          UsageError: there are not two.
        """
        if given is None:
            return None
        if len(given) != 2:
            raise UsageError(f"validation_data: expected (x, y), got {len(given)} values")
        return self.to_judge(given[0], given[1])

    def to_predict(self, x: Arrays) -> Dataset:
        """Samples without targets.

        Raises:
          DataError: they do not fit the model.
        """
        return self._features.of(arrays.inputs(x, self._taken))

    def flush(self) -> None:
        """Writes the features that were computed since."""
        self._features.flush()

    def close(self) -> None:
        """Writes and closes the cache of features."""
        self._features.close()
