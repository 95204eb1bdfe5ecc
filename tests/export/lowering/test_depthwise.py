"""Every lowering of a depthwise convolution against TensorFlow's own gradients."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import assert_equal

from tfplus_export.lowering.kernels import shifting
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.ops.convolution.depthwise_convolutions import DEPTHWISE_CONV2D
from tfplus_export.lowering.table import RULES


@pytest.mark.parametrize("name", DEPTHWISE_CONV2D.rules)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "multiplier"),
    [
        (3, 2, "same", 2),
        (3, 1, "same", 1),
        ((2, 4), 1, "same", 1),
        pytest.param((2, 3), 1, "valid", 3, marks=pytest.mark.slow),
        pytest.param(5, 1, "same", 2, marks=pytest.mark.slow),
        pytest.param((3, 2), 2, "valid", 2, marks=pytest.mark.slow),
        pytest.param((1, 7), 1, "same", 2, marks=pytest.mark.slow),
        pytest.param(2, 3, "same", 1, marks=pytest.mark.slow),
        pytest.param((4, 1), 2, "valid", 1, marks=pytest.mark.slow),
    ],
)
def test_a_lowering_agrees_with_tensorflow(
    name: str, kernel: int | tuple[int, int], stride: int, padding: str, multiplier: int
) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((7, 8, 3))
    behind = layers.Dense(4, name="behind")(x)
    layer = layers.DepthwiseConv2D(kernel, stride, padding, multiplier)
    images = np.random.default_rng(0).standard_normal((3, 7, 8, 3)).astype(np.float32)
    rules = {**RULES, "DepthwiseConv2dNative": DEPTHWISE_CONV2D.rules[name]}
    assert_equal(keras.Model(x, layer(behind)), images, rules=rules)


def layer(kernel: int | tuple[int, int], stride: int, padding: str, size: int) -> keras.Model:
    """A depthwise convolution of a square image behind a trainable layer."""
    keras.utils.set_random_seed(0)
    x = keras.Input((size, size, 3))
    behind = layers.Dense(4, name="behind")(x)
    return keras.Model(x, layers.DepthwiseConv2D(kernel, stride, padding)(behind))


def images(size: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((7, size, size, 3)).astype(np.float32)


TAPS = {**RULES, "DepthwiseConv2dNative": DEPTHWISE_CONV2D.rules["taps"]}


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [
        ((5, 7), 1, 2),
        pytest.param(7, 1, 3, marks=pytest.mark.slow),
        pytest.param(5, 2, 2, marks=pytest.mark.slow),
        pytest.param(3, 1, 1, marks=pytest.mark.slow),
        pytest.param((5, 4), 3, 5, marks=pytest.mark.slow),
    ],
)
def test_a_window_larger_than_its_image(
    kernel: int | tuple[int, int], stride: int, size: int
) -> None:
    assert_equal(layer(kernel, stride, "same", size), images(size), rules=TAPS)


@pytest.mark.parametrize("margin", [0, 2])
def test_an_image_is_shifted_with_zeros_above_and_below(margin: int) -> None:
    image = np.random.default_rng(0).standard_normal((4, 5, 3, 2)).astype(np.float32)
    shifts = [(0, 0), (-2, 1), (1, -1), (7, 0)]
    found = shifting.shifted(image, shifts, 4, margin=margin)
    for down, right in shifts:
        for row, column in itertools.product(range(4), range(3)):
            r, c = row + down, column + right
            if 0 <= c < 3:
                want = image[:, r, c] if 0 <= r < 5 else np.zeros((4, 2))
                np.testing.assert_array_equal(found[down, right][:, row, column], want)


@pytest.mark.parametrize("count", [1, 5, 6, 9, 12, 26, 30])
def test_any_number_of_tensors_is_joined(count: int) -> None:
    parts = [np.full((2, i % 3 + 1), i) for i in range(count)]
    np.testing.assert_array_equal(join(parts, 1), np.concatenate(parts, 1))


@pytest.mark.parametrize("count", [5, 6, 24, 26])
def test_no_operator_joins_more_than_xnnpack_takes(count: int) -> None:
    with tf.Graph().as_default() as graph:
        join([tf.compat.v1.placeholder(tf.float32, [1, 1]) for _ in range(count)], 1)
    # The last input is the axis.
    joined = [len(op.inputs) - 1 for op in graph.get_operations() if op.type == "ConcatV2"]
    assert max(joined) <= 5
    assert sum(joined) - len(joined) == count - 1
