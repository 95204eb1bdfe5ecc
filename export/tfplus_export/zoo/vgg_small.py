"""A network in the manner of VGG (Simonyan & Zisserman, 2015) for 32×32 images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Three blocks of two 3×3 convolutions (64, 128, 256 filters) and a dense layer of 512."""
    model = [keras.Input(input_shape)]
    for block, filters in enumerate((64, 128, 256), start=1):
        for i in (1, 2):
            name = f"conv{block}_{i}"
            model.append(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        model.append(layers.MaxPooling2D(2, name=f"pool{block}"))
    model += [
        layers.Flatten(name="flatten"),
        layers.Dense(512, activation="relu", name="dense"),
        layers.Dense(len(classes), name="logits"),
    ]
    return keras.Sequential(model, name="vgg_small")
