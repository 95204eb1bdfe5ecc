"""A reduced MobileNet (Howard et al., 2017) for 32×32 images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfplus_export.tf_types import Tensor

# Width of each depthwise-separable block, and its stride.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))
# Keras' 0.99 needs hundreds of steps to forget the initial averages; a device takes tens an epoch.
MOMENTUM = 0.9


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """A convolution of 32 filters, then five blocks of a depthwise and a pointwise convolution.

    Batch normalization and ReLU follow each convolution. The papers give the widths and not the
    strides: where the width doubles beyond 64, the image is halved. 136 778 parameters for ten
    classes, moving averages not counted.
    """
    x = image = keras.Input(input_shape)
    x = _normalized(layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv")(x), "conv")
    for i, (filters, stride) in enumerate(BLOCKS, start=1):
        depthwise, pointwise = f"depthwise{i}", f"pointwise{i}"
        x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=depthwise)(x)
        x = _normalized(x, depthwise)
        x = layers.Conv2D(filters, 1, use_bias=False, name=pointwise)(x)
        x = _normalized(x, pointwise)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(
        image, layers.Dense(len(classes), name="logits")(x), name="reduced_mobilenet"
    )


def _normalized(x: Tensor, name: str) -> Tensor:
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
