"""Training the head of a file on collected features, by the same loop and runtime as a device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.dataset import Dataset
from tfplus.errors import UsageError
from tfplus.features import opening
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Manifest
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.training import epoch, evaluation
from tfplus.training.epoch import EpochPlan
from tfplus.training.stepping import LOSS


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
      values: every variable by name.
      loss: mean over the last epoch.
    """

    values: dict[str, Tensor]
    loss: float


def check(manifest: Manifest) -> None:
    """Refuses a file whose head cannot be trained on features with labels.

    Raises:
      UsageError: it takes samples, or its targets are no labels.
    """
    if not manifest.features:
        raise UsageError(
            f"{manifest.name}: takes samples, and devices keep these: expected a file that was "
            "exported with --split LAYER (or --cached)"
        )
    if [output.targets for output in manifest.outputs] != ["label"]:
        raise UsageError(f"{manifest.name}: expected one output whose targets are labels")


def labels_of(manifest: Manifest) -> tuple[int, ...]:
    """The labels that a file with one output takes."""
    output = manifest.outputs[0]
    width = manifest.signatures["infer"].outputs[output.name].shape[-1]
    return manifest.classes or tuple(range(max(2, width)))


def train(
    read: Artifact,
    values: Tensors,
    rows: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
    threads: int = 0,
) -> Trained:
    """Trains from given variables; the same arguments give the same values.

    Args:
      read: the file, see `check`.
      values: every variable by name.
      rows: [n, ...], features; at least one.
      labels: [n].
      epochs: passes over all samples.
      seed: of their orders.
      threads: of the interpreter.

    Raises:
      DataError: the training diverged.
      TensorError: the values are not the file's variables.
    """
    manifest = opening.of_features(read.manifest)
    data = _data(manifest, rows, labels)
    model = open_model(replace(read, manifest=manifest), OpenOptions(threads=threads))
    try:
        model.restore(values)
        per_epoch = device_data.steps_per_epoch(len(rows), manifest.batch_size)
        total, loss = epochs * per_epoch, float("nan")
        for number in range(epochs):
            plan = EpochPlan(
                seed, number, number * per_epoch, total, per_epoch, per_epoch, max_seconds=1e9
            )
            result = epoch.train(model, data, plan, lambda event: None, lambda: False)
            loss = result.means[LOSS]
        return Trained(model.save(), loss)
    finally:
        model.close()


def evaluate(
    read: Artifact,
    values: Tensors,
    rows: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    threads: int = 0,
) -> tuple[float, float]:
    """Accuracy, 0 to 1, and mean loss of given variables.

    Args:
      read: the file, see `check`.
      values: every variable by name.
      rows: [n, ...], features; at least one.
      labels: [n].
      threads: of the interpreter.

    Raises:
      TensorError: the values are not the file's variables.
    """
    manifest = opening.of_features(read.manifest)
    data = _data(manifest, rows, labels)
    model = open_model(replace(read, manifest=manifest), OpenOptions(threads=threads))
    try:
        model.restore(values)
        found = evaluation.evaluate(model, data)
        return found.means[manifest.outputs[0].metric], found.losses[LOSS]
    finally:
        model.close()


def _data(
    manifest: Manifest, rows: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> Dataset:
    stored = {manifest.features[-1].input: rows, manifest.outputs[0].target: labels}
    return device_data.of_arrays(stored, manifest, manifest.name, for_training=True)
