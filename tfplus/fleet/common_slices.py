"""Which exported files can take part in one run."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.errors import TensorError
from tfplus.model_file.artifact import Artifact


def check_common_slices(models: Sequence[Artifact], *, at_least_one: bool = False) -> None:
    """Checks that models can be averaged: a slice that two of them hold is the same in both.

    Args:
      models: exported files.
      at_least_one: all of them must also have a slice in common.

    Raises:
      TensorError: naming the slice and the files.
    """
    seen: dict[str, tuple[tuple[tuple[int, ...], str], Artifact]] = {}
    for model in models:
        for name, (shape, dtype) in model.manifest.expected(weights_only=True).items():
            (first_shape, first_dtype), first = seen.setdefault(name, ((shape, dtype), model))
            if (shape, dtype) != (first_shape, first_dtype):
                raise TensorError(
                    f"{model.path}: slice '{name}' is {dtype}{list(shape)}, but "
                    f"{first_dtype}{list(first_shape)} in {first.path}: they cannot be averaged; "
                    "give models that were exported from one"
                )
    held = [set(model.manifest.expected(weights_only=True)) for model in models]
    if at_least_one and not set.intersection(*held):
        raise TensorError(
            f"{models[0].path}: none of its {len(held[0])} weights is one of {models[1].path}: "
            "give models that were exported from one"
        )
