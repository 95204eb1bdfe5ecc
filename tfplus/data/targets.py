"""Targets as they are stored, as the model takes them: indices of classes, or floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError
from tfplus.model_file.manifest import Manifest, Output


def prepare(
    path: Path | str,
    stored: npt.NDArray[Any],
    output: Output,
    manifest: Manifest,
    *,
    for_training: bool,
) -> npt.NDArray[Any]:
    """Checks the targets of one output and brings them into the form that `train` takes.

    Args:
      path: of the data, for messages.
      stored: the array named as the target, [samples, ...].
      output: of the model.
      manifest: of the model.
      for_training: refuse labels that the model has no class for.

    Returns:
      int32 indices, −1 for a class that the model lacks; or float32 of the output's shape.

    Raises:
      DataError: dtype, shape or values are not what the model's loss takes.
    """
    shape = manifest.signatures["train"].inputs[output.target].shape[1:]
    if output.targets == "label":
        return _labels(path, stored, output, manifest, shape, for_training)
    kinds = {"distribution": "probabilities", "binary": "0 or 1", "value": "numbers"}
    expected = f"{kinds[output.targets]} of shape {_shown(shape)}"
    given = stored.shape[1:]
    # One number a sample may come without an axis of its own.
    fits = given == shape or (shape == (1,) and given == ())
    if stored.dtype.kind not in "biuf" or not fits:
        raise DataError(
            f"{path}: {output.target}: expected {expected}, got {stored.dtype.name}"
            f"{list(stored.shape)}"
        )
    with np.errstate(over="ignore"):
        values = stored.astype(np.float32).reshape(len(stored), *shape)
    good = np.isfinite(values)
    if output.targets != "value":
        good &= (values >= 0) & (values <= 1)
    if not good.all():
        at = int(np.argwhere(~good)[0][0])
        raise DataError(
            f"{path}: {output.target}: sample {at} holds {values[at][~good[at]][0]:g}: expected "
            f"{expected}"
        )
    return values


def _labels(
    path: Path | str,
    stored: npt.NDArray[Any],
    output: Output,
    manifest: Manifest,
    shape: tuple[int, ...],
    for_training: bool,
) -> npt.NDArray[np.int32]:
    if stored.dtype.kind not in "iu" or stored.shape[1:] != shape:
        raise DataError(
            f"{path}: {output.target}: expected integer labels of shape {_shown(shape)}, "
            f"got {stored.dtype.name}{list(stored.shape)}"
        )
    classes = manifest.classes
    if not classes:
        # Of several outputs each numbers its own.
        classes = tuple(range(manifest.signatures["infer"].outputs[output.name].shape[-1]))
    indices = _indices(stored.astype(np.int64), classes)
    if for_training and (indices < 0).any():
        at = int(np.argwhere(indices < 0)[0][0])
        label = stored[at][indices[at] < 0].flat[0] if shape else stored[at]
        raise DataError(
            f"{path}: label {label} (sample {at}) is none of the model's classes "
            f"{list(classes)}: leave those samples out, or load a model that has the class"
        )
    return indices


def _indices(y: npt.NDArray[np.int64], classes: tuple[int, ...]) -> npt.NDArray[np.int32]:
    order = np.argsort(classes)
    ranked = np.asarray(classes, np.int64)[order]
    place = np.minimum(np.searchsorted(ranked, y), len(ranked) - 1)
    return np.where(ranked[place] == y, order[place], -1).astype(np.int32)


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(['samples', *(str(d) for d in shape)])}]"
