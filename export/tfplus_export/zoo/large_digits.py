"""A network for digits enlarged to 32×32, whose maps are larger than its weights."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Convolutions of 32, 64 and 128 filters, each halved in size behind it, and one dense layer.

    No paper gives this network; 113 162 parameters for ten classes of 32×32 images of one channel.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv2"),
            layers.Conv2D(128, 3, strides=2, padding="same", activation="relu", name="conv3"),
            layers.MaxPooling2D(2, name="pool3"),
            layers.Flatten(name="flatten"),
            layers.Dense(len(classes), name="logits"),
        ],
        name="large_digits",
    )
