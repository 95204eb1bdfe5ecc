"""A small convolutional network for 32×32 images, to compare training steps with."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Convolutions of 32, 64 and 128 filters with stride 2 after the first, then global pooling."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv2"),
            layers.Conv2D(128, 3, strides=2, padding="same", activation="relu", name="conv3"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(len(classes), name="logits"),
        ],
        name="small_cnn",
    )
