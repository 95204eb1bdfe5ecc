"""What a comparison at export draws reaches the layers that learn as noise of unit size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Sgd
from tfplus_export.parity.samples.draw import random_inputs
from tfplus_export.pipeline.api import export
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.graph import trace

SHAPE = (5, 4, 3)
MEAN, VARIANCE = [0.5, 0.4, 0.3], [0.04, 0.05, 0.06]
BATCH = 3

PREPROCESSING: dict[str, Callable[[Tensor], Tensor]] = {
    "to ±1": layers.Rescaling(1 / 128, -1),
    "by channel": lambda x: (
        x * np.array([0.1, 0.2, 0.3], np.float32) - np.array([1, 2, 3], np.float32)
    ),
    "normalized": layers.Normalization(mean=MEAN, variance=VARIANCE),
    "back": layers.Normalization(mean=MEAN, variance=VARIANCE, invert=True),
    "both": lambda x: layers.Normalization(mean=MEAN, variance=VARIANCE)(
        layers.Rescaling(1 / 255)(x)
    ),
    "by hand": lambda x: 1.0 - (3.0 + x) / 127.5,
}


def drawn(model: keras.Model) -> dict[str, np.ndarray]:
    return random_inputs(trace(model, BATCH, training=True), np.random.default_rng(0))


def standard(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((BATCH, *shape), np.float32)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_noise_behind_preprocessing_is_standard_normal(name: str) -> None:
    x = keras.Input(SHAPE, name="x")
    between = PREPROCESSING[name](x)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(between)))
    seen = keras.Model(x, between)(drawn(model)["x"])
    assert np.asarray(seen) == pytest.approx(standard(), abs=1e-4)


def test_without_preprocessing_inputs_are_standard_normal() -> None:
    x = keras.Input(SHAPE, name="x")
    y = layers.Rescaling(1 / 128)(layers.Conv2D(2, 2)(x))
    batch = drawn(keras.Model(x, layers.Dense(2)(layers.Flatten()(y))))
    assert (batch["x"] == standard()).all()


def test_an_input_of_two_uses_stays_standard_normal() -> None:
    x = keras.Input(SHAPE, name="x")
    y = layers.Concatenate()([x, layers.Rescaling(1 / 128)(x)])
    batch = drawn(keras.Model(x, layers.Dense(2)(layers.Flatten()(y))))
    assert (batch["x"] == standard()).all()


def test_what_a_constant_widens_or_erases_is_no_preprocessing() -> None:
    x: Tensor = keras.Input((4, 1), name="x")
    for y in (x + np.zeros((1, 1, 3), np.float32), x * np.eye(4, 1, dtype=np.float32)):
        batch = drawn(keras.Model(x, layers.Dense(2)(layers.Flatten()(y))))
        assert (batch["x"] == standard((4, 1))).all()


@pytest.mark.slow
def test_batch_statistics_behind_a_rescaling_are_compared(tmp_path: Path) -> None:
    """Of a standard normal image nothing is left but 0.8 % of it around a constant."""
    x = keras.Input((8, 8, 3))
    y = layers.Rescaling(1 / 128, -1)(x)
    for _ in range(2):
        y = layers.Conv2D(4, 3, use_bias=False)(y)
        y = layers.Activation("swish")(layers.BatchNormalization()(y))
    model = keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)))
    source = Source("m", model, (0, 1, 2), None, None, Preprocessing(), None)
    options = Options(4, optimizer=Sgd(0.01), parity_steps=2)
    written = export(source, tmp_path / "m.tflite", options, lambda text: None)
    assert written.manifest.parity["data"]["random"].startswith("standard normal behind")
    for run in written.manifest.parity["runs"]:
        assert run["loss"] < 1e-6
        assert run["update"] < 1e-5
