"""A model small enough to export in a second."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers


def after_a_layer(layer: Callable[..., object], shape: tuple[int, ...]) -> keras.Model:
    """The layer behind a trainable 1x1 convolution, so that its input gradient is needed too."""
    return keras.Sequential([keras.Input(shape), layers.Conv2D(shape[-1], 1), layer])


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


class Unmasked(layers.Layer):
    """Ends a mask, which the output of a model may not carry."""

    supports_masking = True

    def call(self, x: object) -> object:
        return x * 1.0

    def compute_mask(self, x: object, mask: object = None) -> None:
        return None
