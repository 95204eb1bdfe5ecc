"""The user's own samples, for the comparison with TensorFlow: `--data FILE.npz`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfplus.data.finite import first_not_finite
from tfplus.data.formats import classes as class_names
from tfplus.data.formats import registry
from tfplus.data.formats.source import Column, subset
from tfplus.data.scaling import Scaling
from tfplus.data.spread import Spread, measured
from tfplus.errors import DataError
from tfplus.model_file.manifest import TensorInfo
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.parity.samples.draw import Batch, vocabularies
from tfplus_export.tracing.graph import Graph
from tfplus_export.train_step.loss_heads import SAMPLE_WEIGHT, LossHead
from tfplus_export.train_step.training import Training


class InputSpread(NamedTuple):
    """How the values of an input lie, as stored and as the model gets them."""

    raw: Spread
    got: Spread


@dataclass(frozen=True)
class RealSamples:
    """Samples as they are stored; a batch of them is what the step takes.

    Attributes:
      name: of the file.
      arrays: name of an argument of `train` → [samples, ...]; inputs may be read by the batch,
        targets are as the step takes them.
      taken: name of an input → dtype that the step takes.
      preprocessing: what becomes of inputs.
    """

    name: str
    arrays: Mapping[str, Column]
    taken: Mapping[str, str]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def sample_weights(self) -> np.ndarray | None:
        """Of each sample, where the step takes them."""
        return self.arrays[SAMPLE_WEIGHT][:] if SAMPLE_WEIGHT in self.arrays else None

    def describe(self, seed: int) -> str:
        """See `samples.Draw`."""
        return f"{self.name}, drawn from {len(self)} samples, seed {seed}"

    def inputs(self, graph: Graph, rng: np.random.Generator) -> Batch:
        """See `samples.Draw`."""
        drawn = self._drawn(graph.batch_size, rng)
        return {name: drawn[name] for name in graph.inputs}

    def batch(self, training: Training, rng: np.random.Generator) -> Batch:
        """See `samples.Draw`."""
        return self._drawn(training.train_graph.batch_size, rng)

    def spread(self, name: str) -> InputSpread:
        """How the values of a float input lie."""
        stored = self.arrays[name]
        raw = measured(stored)
        scaled = self.preprocessing.scales(stored.dtype, self.taken[name])
        return InputSpread(raw, raw.behind(self.preprocessing) if scaled else raw)

    def _drawn(self, size: int, rng: np.random.Generator) -> Batch:
        rows = rng.choice(len(self), size, replace=len(self) < size)
        drawn = {name: array[rows] for name, array in self.arrays.items()}
        for name, dtype in self.taken.items():
            drawn[name] = self.preprocessing.apply(drawn[name], dtype)
        return drawn


def load(
    path: Path,
    training: Training,
    classes: Sequence[int],
    preprocessing: Preprocessing,
    scaling: Scaling | None = None,
) -> RealSamples:
    """Reads samples; those of a class that the model lacks are left out.

    Args:
      path: a data set in one of the forms of `tfplus.data.formats.registry`, with arrays named as
        the arguments of `train`.
      training: the step that takes them.
      classes: the model's labels in order; none for indices.
      preprocessing: of inputs that are stored as integers.
      scaling: instead of it. Where all inputs that it could be of are stored as floats, it is of
        those; else floats are taken as they are.

    Raises:
      DataError: an array is missing, or its shape, dtype or values are not what the step takes.
    """
    expected, sizes = training.arguments(), vocabularies(training.train_graph)
    shapes = {name: info.shape[1:] for name, info in expected.items()}
    opened = registry.source(path).open(shapes)
    _check_classes(path, opened.classes, training, classes)
    stored = opened.arrays
    taken = {name: expected[name].dtype for name in training.train_graph.inputs}
    if scaling is not None:
        kinds = {stored[n].dtype.kind for n, d in taken.items() if np.dtype(d).kind == "f"}
        preprocessing = scaling.declared_in(preprocessing, floats=kinds == {"f"})
    targets = {head.target: head for head in training.loss_heads}
    samples = len(next(iter(stored.values())))
    arrays: dict[str, Column] = {}
    known = np.ones(samples, np.bool_)
    for name, info in expected.items():
        where = f"--data {path}: {name}"
        given = _shaped(where, stored[name], info, samples)
        if given.dtype.kind == "f" and first_not_finite(given) is not None:
            raise DataError(f"{where}: holds NaN or infinity: expected finite values")
        if info.dtype == "int32":
            _check_range(where, given[:], sizes.get(name))
        if name in taken:
            # Inputs stay as small as they are stored, and become floats by the batch.
            arrays[name] = given
        elif name in targets and targets[name].loss.targets == "label":
            indices = _indices(given[:], classes)
            known &= (indices >= 0).reshape(samples, -1).all(axis=1)
            arrays[name] = indices
        else:
            values = given[:].astype(info.dtype)
            if name in targets:
                _check_target(where, values, targets[name])
            arrays[name] = values
    if not known.any():
        raise DataError(f"--data {path}: no sample is of the model's classes {list(classes)}")
    if not known.all():
        arrays = {name: subset(array, known) for name, array in arrays.items()}
    return RealSamples(path.name, arrays, taken, preprocessing)


def _check_classes(
    path: Path, named: Mapping[str, int], training: Training, classes: Sequence[int]
) -> None:
    for head in training.loss_heads:
        if head.loss.targets == "label":
            width = training.train_graph.outputs[head.output].shape[-1]
            class_names.check_count(path, named, classes or range(width))


def _shaped(where: str, stored: Column, info: TensorInfo, samples: int) -> Column:
    shape = (samples, *info.shape[1:])
    kinds = "iu" if info.dtype == "int32" else "fiub"
    # One number a sample may come without an axis of its own.
    if info.shape[1:] == (1,) and stored.shape == (samples,):
        stored = stored[:].reshape(shape)
    if not samples or stored.shape != shape or stored.dtype.kind not in kinds:
        wanted = f"{info.dtype}[samples{''.join(f', {d}' for d in info.shape[1:])}]"
        raise DataError(
            f"{where}: expected {wanted}, got {stored.dtype.name}{list(stored.shape)}, where the "
            f"first array has {samples} samples"
        )
    return stored


def _check_range(where: str, stored: np.ndarray, vocabulary: int | None) -> None:
    wrong = (stored < -(2**31)) | (stored >= 2**31)
    if wrong.any():
        raise DataError(
            f"{where}: holds {stored[wrong].flat[0]}: expected integers of 32 bits, as the file "
            "takes them"
        )
    if vocabulary is not None and ((stored < 0) | (stored >= vocabulary)).any():
        raise DataError(f"{where}: expected indices from 0 to {vocabulary - 1}")


def _indices(labels: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    places = {label: index for index, label in enumerate(classes)}
    found = [places.get(int(label), -1) for label in labels.ravel()] if places else labels
    return np.asarray(found, np.int32).reshape(labels.shape)


def _check_target(where: str, values: np.ndarray, head: LossHead) -> None:
    if head.loss.targets in ("binary", "distribution") and ((values < 0) | (values > 1)).any():
        raise DataError(f"{where}: expected values from 0 to 1 for {head.given.name}")
