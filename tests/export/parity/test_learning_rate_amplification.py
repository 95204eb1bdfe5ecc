"""Gradients that leave no trace in a weight are compared all the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline.api import export
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source


def scaled(scale: float) -> keras.Model:
    """A branch whose output is so scaled before it is added, as ConvNeXt's are."""
    x = keras.Input((6,))
    inner = layers.Dense(8, activation="relu", use_bias=False, name="inner")(x)
    inner = layers.Rescaling(scale)(layers.Dense(6, use_bias=False)(inner))
    return keras.Model(x, layers.Dense(3, name="head")(layers.Add()([x, inner])))


def gated() -> keras.Model:
    """A gate's sigmoid is so close to 1 that float32 may find its slope to be zero, or not."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6,))
    open_wide = keras.initializers.Constant(np.linspace(16.0, 17.0, 24))
    gate = layers.Dense(
        24,
        activation="sigmoid",
        kernel_initializer="zeros",
        bias_initializer=open_wide,
        name="gate",
    )(x)
    return keras.Model(x, layers.Dense(3, name="head")(layers.Dense(24)(x) * gate))


def exported(model: keras.Model, folder: Path) -> dict[str, Any]:
    """What the comparison tells of the run with XNNPACK."""
    source = Source("m", model, (0, 1, 2), None, None, Preprocessing(), None)
    options = Options(4, optimizer=Sgd(0.01), parity_steps=2)
    return export(source, folder / "m", options, lambda text: None).manifest.parity["runs"][0]


def break_relu(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    rule = RULES["Relu"]
    assert isinstance(rule, Rule)

    def wrong(*arguments: Any) -> list[Any]:
        return [None if g is None else factor * g for g in rule.gradient(*arguments)]

    changed = dataclasses.replace(rule, gradient=wrong)
    monkeypatch.setattr("tfplus_export.pipeline.stages.trace.RULES", {**RULES, "Relu": changed})


@pytest.mark.slow
def test_updates_below_the_weights_rounding_are_judged(tmp_path: Path) -> None:
    run = exported(scaled(1e-6), tmp_path)
    assert run["magnified"] == 2
    assert run["unseen"] == 0
    assert run["float64"] is None
    assert run["update"] < 1e-5


def test_a_wrong_gradient_among_them_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_relu(monkeypatch, 1.01)
    with pytest.raises(ExportError, match="worst at 'shared/inner/"):
        exported(scaled(1e-6), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_rounding_alone_tells_from_zero_is_left_to_double_precision(tmp_path: Path) -> None:
    run = exported(gated(), tmp_path)
    assert run["float64"] < 1e-9
    assert run["own_update"] > 0.1
    assert run["update"] < 1e-3
