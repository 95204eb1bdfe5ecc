"""The user's own samples, for the comparison with TensorFlow: `--data FILE.npz`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfplus.errors import DataError
from tfplus.model_file.manifest import Preprocessing, TensorInfo
from tfplus_export.parity.samples import Batch, vocabularies
from tfplus_export.tracing.graph import Graph
from tfplus_export.train_step.heads import Head
from tfplus_export.train_step.training import Training


@dataclass(frozen=True)
class RealSamples:
    """Samples as the step takes them.

    Attributes:
      name: of the file.
      arrays: name of an argument of `train` → [samples, ...].
    """

    name: str
    arrays: Batch

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

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

    def _drawn(self, size: int, rng: np.random.Generator) -> Batch:
        rows = rng.choice(len(self), size, replace=len(self) < size)
        return {name: array[rows] for name, array in self.arrays.items()}


def load(
    path: Path, training: Training, classes: Sequence[int], preprocessing: Preprocessing
) -> RealSamples:
    """Reads samples; those of a class that the model lacks are left out.

    Args:
      path: an `.npz` whose arrays are named as the arguments of `train`.
      training: the step that takes them.
      classes: the model's labels in order; none for indices.
      preprocessing: of inputs that are stored as integers.

    Raises:
      DataError: an array is missing, or its shape, dtype or values are not what the step takes.
    """
    expected, sizes = training.arguments(), vocabularies(training.train_graph)
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: np.asarray(file[name]) for name in expected if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"--data {path}: expected an .npz file: {error}") from None
    if missing := [name for name in expected if name not in stored]:
        raise DataError(
            f"--data {path}: expected the arrays {', '.join(expected)}, found no "
            f"{' and no '.join(missing)}"
        )
    targets = {head.target: head for head in training.heads}
    samples = len(next(iter(stored.values()))) if next(iter(stored.values())).ndim else 0
    arrays: Batch = {}
    known = np.ones(samples, np.bool_)
    for name, info in expected.items():
        where = f"--data {path}: {name}"
        given = _shaped(where, stored[name], info, samples)
        if info.dtype == "int32":
            _check_range(where, given)
        if name in targets and targets[name].loss.targets == "label":
            arrays[name] = _indices(given, classes)
            known &= (arrays[name] >= 0).reshape(samples, -1).all(axis=1)
        else:
            arrays[name] = _numbers(where, given, info, preprocessing, name not in targets)
        if name in targets:
            _check_target(where, arrays[name], targets[name])
        size = sizes.get(name)
        if size is not None and ((arrays[name] < 0) | (arrays[name] >= size)).any():
            raise DataError(f"{where}: expected indices from 0 to {size - 1}")
    if not known.any():
        raise DataError(f"--data {path}: no sample is of the model's classes {list(classes)}")
    return RealSamples(path.name, {name: array[known] for name, array in arrays.items()})


def _shaped(where: str, stored: np.ndarray, info: TensorInfo, samples: int) -> np.ndarray:
    shape = (samples, *info.shape[1:])
    kinds = "iu" if info.dtype == "int32" else "fiub"
    # One number a sample may come without an axis of its own.
    if info.shape[1:] == (1,) and stored.shape == (samples,):
        stored = stored.reshape(shape)
    if not samples or stored.shape != shape or stored.dtype.kind not in kinds:
        wanted = f"{info.dtype}[samples{''.join(f', {d}' for d in info.shape[1:])}]"
        raise DataError(
            f"{where}: expected {wanted}, got {stored.dtype.name}{list(stored.shape)}, where the "
            f"first array has {samples} samples"
        )
    return stored


def _check_range(where: str, stored: np.ndarray) -> None:
    wrong = (stored < -(2**31)) | (stored >= 2**31)
    if wrong.any():
        raise DataError(
            f"{where}: holds {stored[wrong].flat[0]}: expected integers of 32 bits, as the file "
            "takes them"
        )


def _indices(labels: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    places = {label: index for index, label in enumerate(classes)}
    found = [places.get(int(label), -1) for label in labels.ravel()] if places else labels
    return np.asarray(found, np.int32).reshape(labels.shape)


def _numbers(
    where: str, stored: np.ndarray, info: TensorInfo, preprocessing: Preprocessing, is_input: bool
) -> np.ndarray:
    values = stored.astype(info.dtype)
    if is_input and info.dtype == "float32" and stored.dtype.kind != "f":
        values = values * np.float32(preprocessing.scale) + np.float32(preprocessing.offset)
    if not np.isfinite(values).all():
        raise DataError(f"{where}: holds NaN or infinity: expected finite values")
    return values


def _check_target(where: str, values: np.ndarray, head: Head) -> None:
    if head.loss.targets in ("binary", "distribution") and ((values < 0) | (values > 1)).any():
        raise DataError(f"{where}: expected values from 0 to 1 for {head.given.name}")
