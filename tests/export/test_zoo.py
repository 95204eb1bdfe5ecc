"""The zoo's models: their sizes, as their descriptions state them."""

from __future__ import annotations

import math

import pytest

from tfplus_export import zoo


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("reduced-mobilenet", 136_778), ("reduced-resnet", 7_206_874)],
)
def test_parameters(name: str, parameters: int) -> None:
    entry = zoo.entry(name)
    model = entry.build(entry.input_shape, range(entry.classes))
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == parameters
    stated = f"{parameters:,}".replace(",", " ")
    assert stated in (entry.build.__doc__ or "")


@pytest.mark.parametrize("name", zoo.MODELS)
@pytest.mark.parametrize("classes", [2, 5])
def test_every_model_returns_one_logit_a_class(name: str, classes: int) -> None:
    entry = zoo.entry(name)
    model = entry.build(entry.input_shape, range(classes))
    assert model.output_shape == (None, classes)
