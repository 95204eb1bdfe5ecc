"""A model small enough to export in a second."""

from __future__ import annotations

import keras
from keras import layers


def small(name: str = "m", **compiled: object) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name=name,
    )
    if compiled:
        model.compile(**compiled)
    return model
