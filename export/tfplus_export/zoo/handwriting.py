"""A network for handwritten characters whose backbone can stay frozen while its head learns."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Two blocks of two 3×3 convolutions (32, 64 filters), then dense 128 and the classes.

    Layers of the backbone are named `backbone_...`, those of the head `head_...`: `tfplus export
    --freeze 'backbone_*'` trains the head alone. No paper gives this network in full; 467 818
    parameters for ten classes of 28×28 images, 402 826 of them in the head.
    """
    model = [keras.Input(input_shape)]
    for block, filters in enumerate((32, 64), start=1):
        for i in (1, 2):
            name = f"backbone_conv{block}_{i}"
            model.append(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        model.append(layers.MaxPooling2D(2, name=f"backbone_pool{block}"))
    model += [
        layers.Flatten(name="backbone_flatten"),
        layers.Dense(128, activation="relu", name="head_dense"),
        layers.Dense(len(classes), name="head_logits"),
    ]
    return keras.Sequential(model, name="handwriting")
