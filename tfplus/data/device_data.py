"""The device's own data: checked once against the model, then cut into batches.

Arrays are named as the arguments of the model's `train`: `x` and `y` where it has one input and one
output. They never leave the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data import fit, guessing, npy, targets
from tfplus.data.finite import first_not_finite
from tfplus.errors import DataError
from tfplus.model_file.manifest import Manifest

Arrays = Mapping[str, npt.NDArray[Any]]

TARGET = "y"
SAMPLE_WEIGHT = "sample_weight"


@dataclass(frozen=True)
class DataInfo:
    """What the headers of a data set say.

    Attributes:
      samples: how many.
    """

    samples: int


@dataclass(frozen=True)
class Dataset:
    """Samples that fit a model.

    Attributes:
      inputs: name → [n, ...], floats or integers; may be memory-mapped.
      targets: name → int32 or float32 [n, ...], as the model takes them; -1 for a class it lacks.
        None of them where samples are only to be predicted.
      weights: float32 [n], of each sample; None where the model takes none.
    """

    inputs: Arrays
    targets: Arrays
    weights: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Batch:
    """One batch as the model takes it.

    Attributes:
      inputs: name → float32 or int32 [size, ...]; rows behind `valid` repeat the real ones in turn.
      targets: name → [size, ...]; behind `valid` the value that marks padding.
      weights: name → float32 [size], where the model takes them.
      valid: rows that hold a sample.
    """

    inputs: dict[str, npt.NDArray[Any]]
    targets: dict[str, npt.NDArray[Any]]
    weights: dict[str, npt.NDArray[Any]]
    valid: int

    @property
    def arguments(self) -> dict[str, npt.NDArray[Any]]:
        """What `train` takes."""
        return self.inputs | self.targets | self.weights


def inspect(path: Path) -> DataInfo:
    """Checks the form of a data set from its headers, without reading the samples.

    Args:
      path: an `.npz`, or a directory of `.npy` files, with arrays such as x and y.

    Raises:
      DataError: it is missing, empty or truncated, or its arrays do not fit together.
    """
    if not path.exists():
        raise DataError(
            f"{path}: no such data; expected an .npz with the arrays x and y, or a directory with "
            "x.npy and y.npy"
        )
    if not path.is_file() and not path.is_dir():
        # To read a pipe or a device might never end.
        raise DataError(f"{path}: expected a file or a directory, got neither")
    held = npy.names(path)
    named = [n for n in held if n == TARGET or n.startswith(f"{TARGET}_")] or [TARGET]
    # Names of several inputs are the model's; which one it is, is not known yet.
    inputs = [] if len(held) > len(named) and "x" not in held else ["x"]
    headers = {name: npy.header(path, name) for name in (*inputs, *named)}
    first, *others = headers
    samples = headers[first].shape[:1]
    for name, header in headers.items():
        if header.shape[:1] != samples or not samples:
            shapes = " and ".join(f"{n} {list(headers[n].shape)}" for n in (first, *others))
            raise DataError(
                f"{path}: shapes of {shapes}: expected as many samples as labels in all arrays"
            )
        if header.dtype.kind not in "biuf":
            raise DataError(f"{path}: {name}: expected numbers, got {header.dtype.name}")
    if samples[0] == 0:
        raise DataError(f"{path}: expected at least one sample, got none")
    return DataInfo(samples[0])


def load(path: Path, manifest: Manifest, *, for_training: bool) -> Dataset:
    """Opens a data set and checks every sample against the model.

    Args:
      path: as for `inspect`.
      manifest: of the model.
      for_training: refuse labels that the model has no class for.

    Raises:
      DataError: as `inspect` does, or the samples do not fit the model.
    """
    samples = inspect(path).samples
    wanted = list(manifest.signatures["train"].inputs)
    if not for_training:
        wanted = [name for name in wanted if name != SAMPLE_WEIGHT]
    stored = {name: npy.array(path, name, wanted) for name in wanted}
    for name, array in stored.items():
        if len(array) != samples:
            raise DataError(f"{path}: {name}: expected {samples} samples, got {len(array)}")
    return of_arrays(stored, manifest, path, for_training=for_training)


def of_arrays(
    stored: Arrays, manifest: Manifest, where: Path | str, *, for_training: bool
) -> Dataset:
    """Checks every sample of some arrays against the model.

    Args:
      stored: each argument of `train` by name, as many samples in all of them; weights of samples
        may be left out.
      manifest: of the model.
      where: they come from, for messages.
      for_training: refuse labels that the model has no class for.

    Raises:
      DataError: the samples do not fit the model.
    """
    inputs = of_inputs({name: stored[name] for name in manifest.inputs}, manifest, where).inputs
    prepared = {
        output.target: targets.prepare(
            where, stored[output.target], output, manifest, for_training=for_training
        )
        for output in manifest.outputs
    }
    return Dataset(inputs, prepared, _weights(where, stored.get(SAMPLE_WEIGHT)))


def load_inputs(path: Path, manifest: Manifest) -> Dataset:
    """Opens samples without targets, and checks them against the model.

    Args:
      path: an `.npz`, or a directory of `.npy` files, with the model's inputs; others are left.
      manifest: of the model.

    Raises:
      DataError: an input is missing, empty or truncated, or does not fit the model.
    """
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: no such data; expected an .npz or a directory of .npy files")
    wanted = list(manifest.inputs)
    return of_inputs({n: npy.array(path, n, wanted) for n in wanted}, manifest, path)


def of_inputs(inputs: Arrays, manifest: Manifest, where: Path | str) -> Dataset:
    """Checks samples without targets against the model.

    Args:
      inputs: name → [samples, ...].
      manifest: of the model.
      where: they come from, for messages.

    Raises:
      DataError: they do not fit the model, or there are none.
    """
    lengths = {name: len(array) if array.ndim else 0 for name, array in inputs.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        raise DataError(
            f"{where}: expected as many samples in all inputs, at least 1, got {lengths}"
        )
    for name, array in inputs.items():
        _check_input(where, name, array, manifest)
    return Dataset(inputs, {})


def batches(
    data: Dataset,
    manifest: Manifest,
    size: int,
    rng: np.random.Generator | None = None,
    skip: int = 0,
) -> Iterator[Batch]:
    """Cuts a data set into batches of one size; the last is padded with rows that do not count.

    Args:
      data: the samples.
      manifest: of the model; gives dtypes, padding, and what becomes of stored samples.
      size: rows of a batch.
      rng: shuffles the samples; None keeps their order.
      skip: leaves out so many batches at the start.
    """
    order = np.arange(len(data)) if rng is None else rng.permutation(len(data))
    expected = manifest.inputs
    for start in range(skip * size, len(order), size):
        rows = order[start : start + size]
        # Batch normalization takes its statistics over all rows, padding included: repeated rows
        # leave them as they are, zeros would not.
        repeated = np.resize(rows, size)
        inputs = {
            name: manifest.preprocessing.apply(array[repeated], expected[name].dtype)
            for name, array in data.inputs.items()
        }
        marked: dict[str, npt.NDArray[Any]] = {}
        for output in manifest.outputs if data.targets else ():
            values = data.targets[output.target]
            y = np.full((size, *values.shape[1:]), output.padding, values.dtype)
            y[: len(rows)] = values[rows]
            marked[output.target] = y
        weights = {} if data.weights is None else {SAMPLE_WEIGHT: data.weights[repeated]}
        yield Batch(inputs, marked, weights, len(rows))


def misfits(data: Dataset, manifest: Manifest) -> tuple[str, ...]:
    """What to tell of inputs whose values are not those that the model was made for."""
    taken = {name: info.dtype for name, info in manifest.inputs.items()}
    return fit.misfits(data.inputs, taken, manifest.preprocessing)


def guess_loss(data: Dataset, manifest: Manifest) -> float | None:
    """The loss of a model that knows nothing of the samples; None where it is not known."""
    returned = manifest.signatures["infer"].outputs
    widths = {o.name: returned[o.name].shape[-1] for o in manifest.outputs}
    rows = min(len(data), manifest.batch_size)
    return guessing.guess_loss(manifest.outputs, widths, data.targets, rows, data.weights)


def steps_per_epoch(samples: int, size: int) -> int:
    """Batches that `batches` cuts `samples` into."""
    return -(-samples // size)


def _check_input(path: Path | str, name: str, x: npt.NDArray[Any], manifest: Manifest) -> None:
    info = manifest.inputs[name]
    if x.shape[1:] != info.shape:
        raise DataError(
            f"{path}: {name}: its samples have shape {list(x.shape[1:])}, the model "
            f"'{manifest.name}' takes {list(info.shape)}"
        )
    known = "iu" if info.dtype == "int32" else "fiu"
    if x.dtype.kind not in known:
        expected = "integers" if info.dtype == "int32" else "floats or integers"
        raise DataError(f"{path}: {name}: expected {expected}, got {x.dtype.name}")
    if info.dtype == "int32":
        size = manifest.vocabularies.get(name)
        _check_range(path, name, x, *((0, size) if size else (-(2**31), 2**31)))
    elif x.dtype.kind == "f":
        _check_finite(path, name, x)


def _check_range(path: Path | str, name: str, x: npt.NDArray[Any], low: int, end: int) -> None:
    wrong = (x < low) | (x >= end)
    if wrong.any():
        at = int(np.argwhere(wrong)[0][0])
        raise DataError(
            f"{path}: {name}: sample {at} holds {x[wrong].flat[0]}: expected {low} to {end - 1}"
        )


def _check_finite(path: Path | str, name: str, x: npt.NDArray[Any]) -> None:
    at = first_not_finite(x)
    if at is not None:
        raise DataError(
            f"{path}: {name}: sample {at} holds NaN or infinity: expected finite values"
        )


def _weights(path: Path | str, stored: npt.NDArray[Any] | None) -> npt.NDArray[np.float32] | None:
    if stored is None:
        return None
    if stored.dtype.kind not in "fiu" or stored.ndim != 1:
        raise DataError(
            f"{path}: {SAMPLE_WEIGHT}: expected one number a sample, got {stored.dtype.name}"
            f"{list(stored.shape)}"
        )
    _check_finite(path, SAMPLE_WEIGHT, stored.astype(np.float64))
    return stored.astype(np.float32)
