"""Convolutions and pooling: values and gradients as TensorFlow has them."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers
from oracle import assert_equal, both
from small import after_a_layer

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [
        *itertools.product([1, 2, 3, 5], [1, 2, 3], ["same", "valid"], [(7, 7), (8, 6)]),
        ((3, 1), (1, 2), "same", (5, 9)),
        ((1, 4), (3, 1), "valid", (9, 5)),
        ((2, 5), (4, 3), "same", (13, 11)),
        (3, 1, "same", (1, 1)),
        (5, 5, "valid", (5, 5)),
        (1, 4, "same", (9, 9)),
    ],
)
def test_conv2d(kernel: object, stride: object, padding: str, size: tuple[int, int]) -> None:
    model = after_a_layer(layers.Conv2D(4, kernel, stride, padding), (*size, 3))
    assert_equal(model, rng.normal(size=(2, *size, 3)).astype(np.float32))


@pytest.mark.parametrize("dilation", [(2, 2), (1, 3), (3, 2)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_conv2d_dilated(dilation: tuple[int, int], padding: str) -> None:
    model = after_a_layer(layers.Conv2D(2, 3, padding=padding, dilation_rate=dilation), (9, 10, 2))
    assert_equal(model, rng.normal(size=(3, 9, 10, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("groups", "filters", "kernel", "stride", "padding", "dilation"),
    [
        *((g, 12, 3, s, p, 1) for g, s, p in itertools.product([2, 6], [1, 2], ["same", "valid"])),
        (3, 6, (1, 4), (3, 1), "same", 1),
        (2, 4, 1, 2, "valid", 1),
        (3, 3, 3, 1, "same", 2),
    ],
)
def test_conv2d_grouped(
    groups: int, filters: int, kernel: object, stride: object, padding: str, dilation: int
) -> None:
    layer = layers.Conv2D(filters, kernel, stride, padding, groups=groups, dilation_rate=dilation)
    model = after_a_layer(layer, (8, 7, 6))
    assert_equal(model, rng.normal(size=(3, 8, 7, 6)).astype(np.float32))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "multiplier", "size"),
    [
        *itertools.product([1, 2, 3, 5], [1, 2, 3], ["same", "valid"], [1, 3], [(7, 8)]),
        ((3, 1), 2, "same", 1, (5, 9)),
        ((2, 5), 4, "same", 2, (13, 11)),
        (3, 1, "same", 1, (1, 1)),
        (5, 5, "valid", 2, (5, 5)),
        (1, 4, "same", 1, (9, 9)),
    ],
)
def test_depthwise(
    kernel: object, stride: int, padding: str, multiplier: int, size: tuple[int, int]
) -> None:
    layer = layers.DepthwiseConv2D(kernel, stride, padding, multiplier)
    model = after_a_layer(layer, (*size, 3))
    assert_equal(model, rng.normal(size=(2, *size, 3)).astype(np.float32))


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_depthwise_dilated(padding: str, multiplier: int) -> None:
    layer = layers.DepthwiseConv2D(
        3, padding=padding, depth_multiplier=multiplier, dilation_rate=(2, 3)
    )
    model = after_a_layer(layer, (9, 10, 2))
    assert_equal(model, rng.normal(size=(3, 9, 10, 2)).astype(np.float32))


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_depthwise_batches(batch: int) -> None:
    model = after_a_layer(layers.DepthwiseConv2D(3, 2, "same", use_bias=False), (6, 6, 4))
    assert_equal(model, rng.normal(size=(batch, 6, 6, 4)).astype(np.float32))


@pytest.mark.parametrize(
    "layer",
    [
        layers.SeparableConv2D(5, 3, 2, "same", depth_multiplier=2, activation="relu"),
        layers.SeparableConv2D(2, (1, 3), dilation_rate=(1, 2), use_bias=False),
    ],
)
def test_separable(layer: layers.Layer) -> None:
    model = after_a_layer(layer, (7, 8, 3))
    assert_equal(model, rng.normal(size=(2, 7, 8, 3)).astype(np.float32))


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv1D(5, 3, 2, "same"),
        layers.Conv1D(6, 3, padding="valid", groups=2),
        layers.DepthwiseConv1D(3, 2, "same", depth_multiplier=2),
        layers.SeparableConv1D(5, 3, padding="valid"),
    ],
)
def test_one_dimension(layer: layers.Layer) -> None:
    model = keras.Sequential([keras.Input((9, 4)), layers.Conv1D(4, 1, name="before"), layer])
    assert_equal(model, rng.normal(size=(2, 9, 4)).astype(np.float32))


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_conv2d_batches(batch: int) -> None:
    model = after_a_layer(layers.Conv2D(5, 3, 2, "same", use_bias=False), (6, 6, 1))
    assert_equal(model, rng.normal(size=(batch, 6, 6, 1)).astype(np.float32))


@pytest.mark.parametrize("pooling", [layers.MaxPooling2D, layers.AveragePooling2D])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "size"),
    [
        *itertools.product([2, 3], [1, 2, 3], ["same", "valid"], [(7, 8)]),
        ((3, 2), (1, 2), "same", (5, 5)),
        (2, 4, "valid", (8, 8)),
        (5, 2, "same", (4, 4)),
    ],
)
def test_pooling(
    pooling: type, window: object, stride: object, padding: str, size: tuple[int, int]
) -> None:
    model = after_a_layer(pooling(window, stride, padding), (*size, 3))
    assert_equal(model, rng.normal(size=(2, *size, 3)).astype(np.float32))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2])
def test_max_pooling_breaks_ties_as_tensorflow_does(padding: str, stride: int) -> None:
    # Few distinct values, zeros among them and negative windows at the border: ties everywhere.
    x = rng.integers(-2, 2, (4, 7, 7, 2)).astype(np.float32)
    model = after_a_layer(layers.MaxPooling2D(3, stride, padding), (7, 7, 2))
    kernel = model.layers[0].get_weights()[0] * 0 + np.eye(2, dtype=np.float32)
    model.layers[0].set_weights([kernel, np.zeros(2, np.float32)])
    assert_equal(model, x)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("pooling", [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
def test_global_pooling(pooling: type, keepdims: bool) -> None:
    model = after_a_layer(pooling(keepdims=keepdims), (5, 4, 3))
    assert_equal(model, rng.normal(size=(2, 5, 4, 3)).astype(np.float32))


def test_global_max_pooling_shares_among_equal_maxima_as_tensorflow_does() -> None:
    model = after_a_layer(layers.GlobalMaxPooling2D(), (3, 3, 2))
    model.layers[0].set_weights([np.eye(2, dtype=np.float32)[None, None], np.zeros(2, np.float32)])
    assert_equal(model, rng.integers(0, 2, (4, 3, 3, 2)).astype(np.float32))


def test_conv2d_against_finite_differences() -> None:
    model = keras.Sequential([keras.Input((5, 4, 2)), layers.Conv2D(2, 3, 2, "same")])
    x = rng.normal(size=(2, 5, 4, 2)).astype(np.float32)
    got, want = both(model, x)
    dy = np.random.default_rng(1).normal(size=want[0].shape)
    kernel, bias = (w.astype(np.float64) for w in model.get_weights())
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (0, 1), (0, 0)])

    def total(k: np.ndarray) -> float:
        value = 0.0
        for r, s in itertools.product(range(3), range(2)):
            patch = padded[:, 2 * r : 2 * r + 3, 2 * s : 2 * s + 3]
            value += np.sum((np.einsum("nijc,ijck->nk", patch, k) + bias) * dy[:, r, s])
        return float(value)

    for index in [(0, 0, 0, 0), (2, 1, 1, 0), (1, 2, 0, 1)]:
        step = np.zeros_like(kernel)
        step[index] = 1e-4
        slope = (total(kernel + step) - total(kernel - step)) / 2e-4
        np.testing.assert_allclose(got[1][index], slope, rtol=1e-4, atol=1e-5)
