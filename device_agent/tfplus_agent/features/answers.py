"""One sample at a time: what the model says of it, and what its user says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.errors import UsageError
from tfplus.features import opening, signature
from tfplus.model_file import weights_file
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus.training import prediction
from tfplus_agent.features.kept import Kept


@dataclass(frozen=True)
class Answer:
    """What the model says.

    Attributes:
      label: of the largest output.
      probabilities: label → probability, by a softmax over the logits.
      was_seen: whether the cache had the features of this very sample.
    """

    label: int
    probabilities: dict[int, float]
    was_seen: bool


class Answers:
    """A model with one output, of labels, open for single samples. Any thread may use it.

    Args:
      kept: the model's open cache.
      weights: a .safetensors with weights of the head; those of the model where there is none.

    Raises:
      UsageError: its targets are no labels, or its samples no images of bytes.
    """

    def __init__(self, kept: Kept, weights: Path) -> None:
        manifest = kept.read.manifest
        if [output.targets for output in manifest.outputs] != ["label"]:
            raise UsageError(f"{manifest.name}: expected a model with one output, of labels")
        self._kept, self._weights = kept, weights
        self._samples = opening.of_samples(manifest)
        self.shape = manifest.features[0].sample.shape
        output = manifest.outputs[0]
        self._logits = output.logits or output.name
        width = manifest.signatures["infer"].outputs[output.name].shape[-1]
        self.labels = manifest.classes or tuple(range(width))
        self._lock = threading.Lock()
        read = replace(kept.read, manifest=opening.of_features(manifest))
        self._model = open_model(read, OpenOptions())
        self.reload()

    def reload(self) -> None:
        """Takes the weights as they are on disk now."""
        with self._lock:
            state = self._model.save()
            if self._weights.is_file():
                found = weights_file.read(self._weights)
                state |= {name: found[name] for name in state if name in found}
            self._model.restore(state)

    def of(self, sample: npt.NDArray[np.uint8]) -> Answer:
        """What the model says of a sample.

        Args:
          sample: as it is stored, of the model's shape.
        """
        batch = np.ascontiguousarray(sample.reshape(1, *self.shape))
        with self._lock:
            was_seen = self._kept.cache.find(signature.keys(batch))[0] is not None
            data = device_data.of_inputs({self._input: batch}, self._samples, "a sample")
            taken = self._kept.features.of(data, predicts=True)
            logits = prediction.predict(self._model, taken)[self._logits][0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        named = dict(zip(self.labels, shares.tolist(), strict=True))
        return Answer(self.labels[int(logits.argmax())], named, was_seen)

    def correct(self, sample: npt.NDArray[np.uint8], label: int) -> None:
        """Keeps a user's label of a sample that was asked about; it is on disk then.

        Raises:
          UsageError: the model has no such label, or the sample was not asked about.
        """
        if label not in self.labels:
            raise UsageError(f"label {label}: expected one of {', '.join(map(str, self.labels))}")
        key = signature.keys(np.ascontiguousarray(sample.reshape(1, *self.shape)))
        with self._lock:
            if not self._kept.cache.annotate(key, [label]):
                raise UsageError("the sample is not kept: ask for an answer first")

    def close(self) -> None:
        """Frees the model."""
        with self._lock:
            self._model.close()

    @property
    def _input(self) -> str:
        return self._kept.read.manifest.features[0].input

    def locked(self, work: Callable[[], Any]) -> Any:
        """Does something while nobody else uses the cache."""
        with self._lock:
            return work()
