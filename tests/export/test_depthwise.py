"""Depthwise convolution and both of its gradients, over strides and paddings."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from oracle import assert_equal


@pytest.mark.parametrize(
    ("kernel", "strides", "padding"),
    [
        (3, 1, "same"),
        ((2, 4), 1, "same"),
        (3, 1, "valid"),
        pytest.param(5, 1, "same", marks=pytest.mark.slow),
        pytest.param(3, 2, "same", marks=pytest.mark.slow),
        pytest.param((3, 2), 2, "valid", marks=pytest.mark.slow),
        pytest.param((1, 7), 1, "same", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("multiplier", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_gradients_agree_with_tensorflow(
    kernel: int | tuple[int, int], strides: int, padding: str, multiplier: int
) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 9, 3))
    behind = layers.Dense(4)(x)
    layer = layers.DepthwiseConv2D(kernel, strides, padding, multiplier)
    images = np.random.default_rng(0).standard_normal((3, 8, 9, 3)).astype(np.float32)
    assert_equal(keras.Model(x, layer(behind)), images)
