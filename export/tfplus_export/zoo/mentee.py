"""The Mentee network: a plain convolutional network of medium size, for 32×32 images.

Chen, Biookaghazadeh & Zhao, "Exploring the Capabilities of Mobile Devices in Supporting Deep
Learning", SEC 2019, train it on phones.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

FILTERS = (64, 128, 256, 512, 512)


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Five 3×3 convolutions of 64 to 512 filters, an average pooling, dense 4096, 4096 and classes.

    The widths are given, neither kernels nor strides. Read here with ReLU, and with a max pooling
    of 2×2 behind each convolution but the last, so that the averages are those of a 2×2 image.
    22 834 314 parameters for ten classes, wherever the image is halved.
    """
    model = [keras.Input(input_shape)]
    for i, filters in enumerate(FILTERS, start=1):
        name = f"conv{i}"
        model.append(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        if i < len(FILTERS):
            model.append(layers.MaxPooling2D(2, padding="same", name=f"pool{i}"))
    model += [
        layers.GlobalAveragePooling2D(name="average"),
        layers.Dense(4096, activation="relu", name="dense1"),
        layers.Dense(4096, activation="relu", name="dense2"),
        layers.Dense(len(classes), name="logits"),
    ]
    return keras.Sequential(model, name="mentee")
