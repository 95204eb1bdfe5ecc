"""Layers that change extents, or normalize groups, against TensorFlow's own gradients."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from oracle import assert_equal

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine.plan import plan
from tfplus_export.lowering.table import RULES
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.tracing.graph import trace

rng = np.random.default_rng(0)


def check(layer: Any, shape: tuple[int, ...], tolerance: float = 2e-5) -> None:
    """The layer behind a trainable one, so that its input gradient is needed too."""
    x = keras.Input(shape)
    model = keras.Model(x, layer(layers.Dense(shape[-1], use_bias=False)(x)))
    assert_equal(model, rng.normal(size=(3, *shape)).astype(np.float32), tolerance)


def cases(every: Any, fast: int) -> list[Any]:
    return [
        pytest.param(*c) if i < fast else pytest.param(*c, marks=pytest.mark.slow)
        for i, c in enumerate(every)
    ]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "extra", "size"),
    cases(
        [
            (3, 2, "same", None, (4, 5)),
            ((2, 4), (1, 3), "valid", (0, 2), (5, 3)),
            *itertools.product([1, 2, 4], [1, 2, 3], ["same", "valid"], [None], [(4, 3)]),
            (3, 2, "same", 0, (4, 4)),
            (4, 3, "valid", 2, (3, 3)),
        ],
        2,
    ),
)
def test_conv2d_transpose(
    kernel: Any, stride: Any, padding: str, extra: Any, size: tuple[int, int]
) -> None:
    layer = layers.Conv2DTranspose(5, kernel, stride, padding, output_padding=extra)
    check(layer, (*size, 3))


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "padding"), [*itertools.product([1, 2], ["same", "valid"])])
def test_conv1d_transpose(stride: int, padding: str) -> None:
    check(layers.Conv1DTranspose(4, 3, stride, padding), (5, 2))


WRITTEN: dict[str, tuple[Any, tuple[int, ...]]] = {
    "up": (lambda: layers.UpSampling2D((2, 3)), (3, 4, 2)),
    "up bilinear": (lambda: layers.UpSampling2D(2, interpolation="bilinear"), (3, 4, 2)),
    "groups": (lambda: layers.GroupNormalization(2, gamma_initializer="normal"), (4, 3, 6)),
    "up 1d": (lambda: layers.UpSampling1D(3), (3, 4)),
    "larger": (lambda: layers.Resizing(7, 9), (3, 4, 2)),
    "smaller": (lambda: layers.Resizing(3, 2), (7, 5, 2)),
    "nearest": (lambda: layers.Resizing(7, 3, "nearest"), (3, 4, 2)),
    "bicubic": (lambda: layers.Resizing(7, 3, "bicubic"), (4, 4, 2)),
    "cropped": (lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True), (4, 6, 2)),
    "cropping": (lambda: layers.Cropping2D(((1, 0), (0, 2))), (4, 5, 2)),
    "cropping 1d": (lambda: layers.Cropping1D((1, 2)), (5, 2)),
    "zeros": (lambda: layers.ZeroPadding1D(2), (5, 2)),
    "repeated": (lambda: layers.RepeatVector(4), (5,)),
    "each group one channel": (lambda: layers.GroupNormalization(-1), (4, 3, 4)),
    "one group": (lambda: layers.GroupNormalization(1, scale=False), (4, 3, 4)),
    "groups of a sequence": (lambda: layers.GroupNormalization(2, center=False), (5, 4)),
    "unit": (lambda: layers.UnitNormalization(), (3, 4)),
    "root mean square": (lambda: layers.RMSNormalization(), (3, 4)),
    "channel shuffle": (
        lambda: (
            lambda x: ops.reshape(
                ops.transpose(ops.reshape(x, (3, 4, 4, 2, 3)), (0, 1, 2, 4, 3)), (3, 4, 4, 6)
            )
        ),
        (4, 4, 6),
    ),
    "pixel shuffle": (
        lambda: (
            lambda x: ops.reshape(
                ops.transpose(ops.reshape(x, (3, 4, 3, 2, 2, 2)), (0, 1, 3, 2, 4, 5)), (3, 8, 6, 2)
            )
        ),
        (4, 3, 8),
    ),
    "taken": (lambda: lambda x: ops.take(x, [2, 0, 2], axis=1), (3, 4)),
    "taken last": (lambda: lambda x: ops.take(x, [[2, 0], [1, 1]], axis=-1), (2, 4)),
    "adaptive": (lambda: layers.AdaptiveAveragePooling2D(2), (5, 4, 3)),
    "absolute": (lambda: ops.abs, (3, 4)),
    "sign": (lambda: lambda x: ops.sign(x) * x, (3, 4)),
    "floor": (lambda: lambda x: (ops.floor(x) + ops.ceil(2 * x) - ops.round(x)) * x, (3, 4)),
    "log of softmax": (lambda: lambda x: ops.log_softmax(3 * x, axis=-1), (3, 4)),
    "softmax over time": (lambda: layers.Softmax(axis=1), (3, 4)),
    "least": (lambda: lambda x: ops.min(x, axis=1), (3, 4)),
    "log1p": (lambda: lambda x: ops.log1p(x * x), (3, 4)),
    "reciprocal": (lambda: lambda x: ops.reciprocal(x * x + 1.0), (3, 4)),
    "max 1d": (lambda: layers.MaxPooling1D(3, 2, "same"), (6, 2)),
    "average 1d": (lambda: layers.AveragePooling1D(3, 2, "same"), (6, 2)),
    "gated": (lambda: layers.Activation("glu"), (3, 4)),
    "normalized": (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[2.0, 3.0]), (3, 2)),
    "dense einsum": (lambda: layers.EinsumDense("abc,cd->abd", (3, 5), bias_axes="d"), (3, 4)),
}


@pytest.mark.parametrize("name", cases([(n,) for n in WRITTEN], 3))
def test_layer(name: str) -> None:
    make, shape = WRITTEN[name]
    check(make(), shape, 1e-4 if "group" in name else 2e-5)


def test_equal_least_share_as_in_tensorflow() -> None:
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(6, kernel_initializer="identity"),
            layers.Lambda(lambda x: tf.reduce_min(x, 1, keepdims=True)),
        ]
    )
    assert_equal(model, rng.integers(0, 2, (5, 6)).astype(np.float32))


@pytest.mark.slow
def test_an_exported_file_trains_with_these_layers(tmp_path: Path) -> None:
    x = keras.Input((6, 6, 4))
    y = layers.Conv2DTranspose(6, 3, 2, "same")(x)
    y = layers.GroupNormalization(2)(layers.Resizing(5, 5)(y))
    y = layers.UpSampling2D(2)(layers.Activation("mish")(y))
    y = ops.log_softmax(ops.take(y[:, ::3, 1:], [4, 0, 1], axis=-1) + ops.abs(ops.min(y)))
    model = keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))
    source = Source("test:layers", model, (0, 1, 2), None, None, Preprocessing(), None)
    written = api.export(source, tmp_path / "m.tflite", api.Options(4), lambda text: None)
    assert written.manifest.flex_operators == ()


def test_three_spatial_dimensions_are_refused_by_name() -> None:
    x = keras.Input((4, 4, 4, 2))
    model = keras.Model(x, layers.Conv3D(3, 2, name="volume")(x))
    with pytest.raises(
        ExportError,
        match=r"'volume' \(Conv3D\) .* 4 dimensions .*: use layers of two",
    ):
        plan(trace(model, 2, training=True), RULES)
