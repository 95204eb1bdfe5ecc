"""Whether stored samples are what the inputs of a model take; read a piece at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.finite import first_not_finite
from tfplus.data.formats.source import Column
from tfplus.errors import DataError
from tfplus.model_file.manifest import Manifest

_PIECE_VALUES = 1 << 22


def check(path: Path | str, name: str, x: Column, manifest: Manifest) -> None:
    """Checks shape, dtype and values of the samples of one input.

    Args:
      path: of the data, for messages.
      name: of the input.
      x: [samples, ...].
      manifest: of the model.

    Raises:
      DataError: they are not what the model takes.
    """
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
        check_finite(path, name, x)


def check_finite(path: Path | str, name: str, x: Column) -> None:
    """Refuses NaN, infinity and what is beyond float32.

    Raises:
      DataError: a sample holds some.
    """
    at = first_not_finite(x)
    if at is not None:
        raise DataError(
            f"{path}: {name}: sample {at} holds NaN or infinity: expected finite values"
        )


def _check_range(path: Path | str, name: str, x: Column, low: int, end: int) -> None:
    rows = max(1, _PIECE_VALUES // max(1, math.prod(x.shape[1:])))
    for start in range(0, len(x), rows):
        piece: npt.NDArray[Any] = x[start : start + rows]
        wrong = (piece < low) | (piece >= end)
        if wrong.any():
            at = start + int(np.argwhere(wrong)[0][0])
            raise DataError(
                f"{path}: {name}: sample {at} holds {piece[wrong].flat[0]}: expected {low} to "
                f"{end - 1}"
            )
