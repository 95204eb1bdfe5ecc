"""ResNet-8 for 32×32 images, as MLPerf Tiny has it.

Banbury et al., "MLPerf Tiny Benchmark", NeurIPS 2021: three stacks of 16, 32 and 64 filters. Its
convolutions have biases, also in front of batch normalizations, where they have no gradient.
"""

from __future__ import annotations

import keras
from keras import layers


def resnet8() -> keras.Model:
    """The model, with the same weights each time."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    y = layers.ReLU()(layers.BatchNormalization()(_convolution(16, 3)(image)))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        x = y
        y = layers.BatchNormalization()(_convolution(filters, 3, stride)(x))
        y = layers.BatchNormalization()(_convolution(filters, 3)(layers.ReLU()(y)))
        if stride > 1:
            x = _convolution(filters, 1, stride)(x)
        y = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Flatten()(layers.AveragePooling2D(8)(y))
    classes = layers.Dense(10, activation="softmax", kernel_initializer="he_normal")
    return keras.Model(image, classes(y), name="resnet8")


def _convolution(filters: int, size: int, stride: int = 1) -> layers.Layer:
    return layers.Conv2D(
        filters,
        size,
        stride,
        "same",
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
    )
