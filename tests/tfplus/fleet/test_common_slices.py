"""Models that cannot be averaged are told of before a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tfplus.errors import TensorError
from tfplus.fleet.common_slices import check_common_slices
from tfplus.model_file.artifact import Artifact


def changed(model: Artifact, path: str, **changes: Any) -> Artifact:
    """The model with its first variable changed."""
    first, *rest = model.manifest.variables
    variables = (dataclasses.replace(first, **changes), *rest)
    manifest = dataclasses.replace(model.manifest, variables=variables)
    return dataclasses.replace(model, path=Path(path), manifest=manifest)


def test_a_slice_of_two_shapes_is_named_with_both_files(toy: Artifact) -> None:
    name = toy.manifest.variables[0].name
    other = changed(toy, "other.tflite", shape=(7,))
    with pytest.raises(TensorError, match=rf"other\.tflite: slice '{name}' is float32\[7\]"):
        check_common_slices([toy, toy, other])


def test_models_may_hold_different_slices(toy: Artifact) -> None:
    check_common_slices([toy, changed(toy, "other.tflite", name="task/9/dense/kernel")])


def test_a_global_model_must_hold_a_slice_of_the_others(toy: Artifact) -> None:
    weights = toy.manifest.weights
    none = dataclasses.replace(
        toy.manifest,
        variables=tuple(dataclasses.replace(v, name=f"shared/x/{v.name}") for v in weights),
    )
    foreign = dataclasses.replace(toy, path=Path("foreign.tflite"), manifest=none)
    with pytest.raises(TensorError, match=r"foreign\.tflite: none of its"):
        check_common_slices([foreign, toy], at_least_one=True)
    check_common_slices([foreign, toy])
