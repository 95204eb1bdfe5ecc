"""Shared convolutions, then one independent branch for each class.

The form that decoupling gives a network (Chen & Qin): a class's logit depends on the shared layers
and on its own branch alone, so the sub-model of some classes is the shared layers plus their
branches, and devices that know a class average its branch by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Two 3×3 convolutions (16, 32 filters); for each class a dense layer of 16 and its logit."""
    x = image = keras.Input(input_shape)
    for i, filters in enumerate((16, 32), start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    logits = [
        layers.Dense(1, name=f"task_{label}_logit")(
            layers.Dense(16, activation="relu", name=f"task_{label}_hidden")(x)
        )
        for label in classes
    ]
    output = logits[0] if len(logits) == 1 else layers.Concatenate(name="logits")(logits)
    return keras.Model(image, output, name="digits")
