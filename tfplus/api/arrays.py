"""Arrays as a notebook has them, as the data set that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.device_data import SAMPLE_WEIGHT, Dataset
from tfplus.errors import DataError
from tfplus.model_file.manifest import Manifest

# One array, or several: in the model's order, or by name.
Arrays = Any


def inputs(x: Arrays, manifest: Manifest) -> Dataset:
    """Samples without targets.

    Args:
      x: [samples, ...] for each input.
      manifest: of the model.

    Raises:
      DataError: they do not fit the model.
    """
    return device_data.of_inputs(_named(x, list(manifest.inputs), "x"), manifest, "the arrays")


def samples(
    x: Arrays, y: Arrays, sample_weight: Any, manifest: Manifest, *, for_training: bool
) -> Dataset:
    """Samples with targets.

    Args:
      x: [samples, ...] for each input.
      y: [samples, ...] for each output, by the name of the output or of its target.
      sample_weight: [samples], or None for 1 each where the model takes weights.
      manifest: of the model.
      for_training: refuse labels that the model has no class for.

    Raises:
      DataError: they do not fit the model, or together.
    """
    given = _named(x, list(manifest.inputs), "x")
    by_output = {output.name: output.target for output in manifest.outputs}
    given |= _named(y, list(by_output.values()), "y", by_output)
    takes_weights = SAMPLE_WEIGHT in manifest.signatures["train"].inputs
    if sample_weight is not None and not takes_weights:
        raise DataError(
            f"sample_weight: the model '{manifest.name}' takes none: export it with sample weights"
        )
    if takes_weights and for_training:
        count = len(next(iter(given.values())))
        weights = np.ones(count, np.float32) if sample_weight is None else sample_weight
        given[SAMPLE_WEIGHT] = np.asarray(weights)
    counts = {name: len(array) if array.ndim else 0 for name, array in given.items()}
    if len(set(counts.values())) != 1:
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"expected as many samples in all arrays, got {shown}")
    return device_data.of_arrays(given, manifest, "the arrays", for_training=for_training)


def _named(
    given: Arrays, names: Sequence[str], what: str, aliases: Mapping[str, str] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Arrays by the model's names, in the model's order."""
    if isinstance(given, Mapping):
        found = {
            str((aliases or {}).get(str(name), str(name))): np.asarray(array)
            for name, array in cast("Mapping[str, Any]", given).items()
        }
    elif len(names) == 1:
        found = {names[0]: np.asarray(given)}
    elif isinstance(given, (list, tuple)) and len(cast("list[Any]", given)) == len(names):
        each = cast("list[Any]", given)
        found = {n: np.asarray(array) for n, array in zip(names, each, strict=True)}
    else:
        found = {}
    if set(found) != set(names):
        got = sorted(found) or type(given).__name__
        raise DataError(
            f"{what}: expected an array for each of {list(names)}, in this order or by name, got "
            f"{got}"
        )
    return {name: found[name] for name in names}
