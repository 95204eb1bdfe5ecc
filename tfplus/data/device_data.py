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

from tfplus.data import fit, guessing, inputs, order, targets
from tfplus.data.dataset import Batch, Dataset, Inputs
from tfplus.data.formats import classes, registry
from tfplus.data.formats.source import Columns, GrowingSource, SamplesGoneError
from tfplus.errors import DataError
from tfplus.model_file.manifest import Manifest

__all__ = [
    "Batch",
    "DataInfo",
    "Dataset",
    "batches",
    "fingerprint",
    "grows",
    "guess_loss",
    "inspect",
    "load",
    "load_inputs",
    "misfits",
    "of_arrays",
    "of_inputs",
    "refreshed",
    "steps_per_epoch",
]

SAMPLE_WEIGHT = "sample_weight"


@dataclass(frozen=True)
class DataInfo:
    """What the headers of a data set say.

    Attributes:
      samples: how many.
    """

    samples: int


def inspect(path: Path) -> DataInfo:
    """Checks the form of a data set from its headers, without reading the samples.

    Args:
      path: a data set in one of the forms of `formats.registry`: an `.npz` or a directory of
        `.npy` files with arrays such as x and y, folders of images or sound by class, CSV, or a
        store of labelled samples.

    Raises:
      DataError: it is missing, empty or truncated, or its arrays do not fit together.
      MissingExtraError: reading it takes packages that are not installed.
    """
    return DataInfo(registry.source(path).count())


def load(path: Path, manifest: Manifest, *, for_training: bool) -> Dataset:
    """Opens a data set and checks it against the model.

    Every sample is checked, but for the pixels of images and the frames of sound, which are decoded
    when a batch takes them.

    Args:
      path: as for `inspect`.
      manifest: of the model.
      for_training: refuse labels that the model has no class for.

    Raises:
      DataError: as `inspect` does, or the samples do not fit the model.
      MissingExtraError: as `inspect` does.
    """
    opened = registry.source(path).open(_shapes(manifest, for_training=for_training))
    of_inputs({name: opened.arrays[name] for name in manifest.inputs}, manifest, path)
    return _dataset(path, opened, manifest, for_training=for_training)


def of_arrays(
    stored: Mapping[str, npt.NDArray[Any]],
    manifest: Manifest,
    where: Path | str,
    *,
    for_training: bool,
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
    of_inputs({name: stored[name] for name in manifest.inputs}, manifest, where)
    return _dataset(where, Columns(stored), manifest, for_training=for_training)


def load_inputs(path: Path, manifest: Manifest) -> Dataset:
    """Opens samples without targets, and checks them against the model.

    Args:
      path: as for `inspect`; what it holds beside the model's inputs is left.
      manifest: of the model.

    Raises:
      DataError: an input is missing, empty or truncated, or does not fit the model.
      MissingExtraError: as `inspect` does.
    """
    opened = registry.source(path).open({n: i.shape for n, i in manifest.inputs.items()})
    return of_inputs({name: opened.arrays[name] for name in manifest.inputs}, manifest, path)


def of_inputs(columns: Inputs, manifest: Manifest, where: Path | str) -> Dataset:
    """Checks samples without targets against the model.

    Args:
      columns: name → [samples, ...].
      manifest: of the model.
      where: they come from, for messages.

    Raises:
      DataError: they do not fit the model, or there are none.
    """
    lengths = {name: (*column.shape, 0)[0] for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        raise DataError(
            f"{where}: expected as many samples in all inputs, at least 1, got {lengths}"
        )
    for name, column in columns.items():
        inputs.check(where, name, column, manifest)
    return Dataset(columns, {})


def refreshed(data: Dataset, manifest: Manifest, until: int | None = None) -> Dataset:
    """The same data set as it is now: samples that were added or corrected since are in it.

    Call it where an epoch begins. What cannot grow is returned as it is.

    Args:
      data: as `load` or this function returned it.
      manifest: of the model.
      until: the highest key to take, which is `last_key` of the data set that an interrupted epoch
        began with; None for all.

    Raises:
      DataError: no sample is left, or one that is new does not fit the model.
    """
    source = None if data.path is None else registry.source(data.path)
    if data.path is None or not isinstance(source, GrowingSource):
        return data
    shapes = _shapes(manifest, for_training=data.for_training)
    opened = source.reopen(shapes, data.last_key, until)
    return _dataset(data.path, opened, manifest, for_training=data.for_training)


def fingerprint(path: Path) -> str:
    """What tells the samples of a data set from others; see `formats.fingerprint`.

    Raises:
      DataError: they cannot be read.
    """
    return registry.source(path).fingerprint()


def grows(path: Path) -> bool:
    """Whether samples of a data set come and go while it is used."""
    return isinstance(registry.source(path), GrowingSource)


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
    places = order.order(len(data), data.keys, rng)
    expected = manifest.inputs
    for start in range(skip * size, len(places), size):
        rows, stored = _read(data, places, start, size)
        taken = {
            name: manifest.preprocessing.apply(array, expected[name].dtype)
            for name, array in stored.items()
        }
        marked: dict[str, npt.NDArray[Any]] = {}
        for output in manifest.outputs if data.targets else ():
            values = data.targets[output.target]
            y = np.full((size, *values.shape[1:]), output.padding, values.dtype)
            y[: len(rows)] = values[rows]
            marked[output.target] = y
        weights = {}
        if data.weights is not None:
            weights = {SAMPLE_WEIGHT: data.weights[np.resize(rows, size)]}
        yield Batch(taken, marked, weights, len(rows))


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


def _shapes(manifest: Manifest, *, for_training: bool) -> dict[str, tuple[int, ...]]:
    taken = manifest.signatures["train"].inputs
    return {n: i.shape[1:] for n, i in taken.items() if for_training or n != SAMPLE_WEIGHT}


def _dataset(
    path: Path | str, opened: Columns, manifest: Manifest, *, for_training: bool
) -> Dataset:
    for output in manifest.outputs:
        if output.targets == "label":
            width = manifest.signatures["infer"].outputs[output.name].shape[-1]
            classes.check_count(Path(path), opened.classes, manifest.classes or range(width))
    arrays = opened.arrays
    return Dataset(
        {name: arrays[name] for name in manifest.inputs},
        {
            output.target: targets.prepare(
                path, arrays[output.target][:], output, manifest, for_training=for_training
            )
            for output in manifest.outputs
        },
        _weights(path, arrays[SAMPLE_WEIGHT][:] if SAMPLE_WEIGHT in arrays else None),
        opened.keys,
        path if isinstance(path, Path) else None,
        for_training,
    )


def _read(
    data: Dataset, places: npt.NDArray[np.int64], start: int, size: int
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
    """Rows of a batch that still hold samples, and these, repeated in turn to the whole size.

    Batch normalization takes its statistics over all rows, padding included: repeated rows leave
    them as they are, zeros would not.
    """
    rows = places[start : start + size]
    left = places
    while True:
        repeated = np.resize(rows, size)
        try:
            return rows, {name: array[repeated] for name, array in data.inputs.items()}
        except SamplesGoneError as gone:
            left = left[~np.isin(left, repeated[gone.places])]
            # An epoch keeps its number of batches: one that is gone whole becomes another.
            rows = rows[np.isin(rows, left)] if np.isin(rows, left).any() else left[:size]
            if not len(left):
                raise DataError(f"{data.path}: every sample was forgotten") from None


def _weights(path: Path | str, stored: npt.NDArray[Any] | None) -> npt.NDArray[np.float32] | None:
    if stored is None:
        return None
    if stored.dtype.kind not in "fiu" or stored.ndim != 1:
        raise DataError(
            f"{path}: {SAMPLE_WEIGHT}: expected one number a sample, got {stored.dtype.name}"
            f"{list(stored.shape)}"
        )
    inputs.check_finite(path, SAMPLE_WEIGHT, stored.astype(np.float64))
    return stored.astype(np.float32)
