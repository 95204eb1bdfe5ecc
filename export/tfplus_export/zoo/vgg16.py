"""VGG-16 (Simonyan & Zisserman, ICLR 2015, configuration D) for 32×32 images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

# Convolutions of each block, and their filters.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Thirteen 3×3 convolutions in five blocks, dense 4096, 4096 and the classes.

    As in the paper, but for the dropout: what changes with the image is the first dense layer
    alone. 33 638 218 parameters for ten classes of 32×32 images; 138 357 544 for 1000 classes of
    224×224, which is the paper's 138 million.
    """
    model = [keras.Input(input_shape)]
    for block, (convolutions, filters) in enumerate(BLOCKS, start=1):
        for i in range(1, convolutions + 1):
            name = f"conv{block}_{i}"
            model.append(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        model.append(layers.MaxPooling2D(2, name=f"pool{block}"))
    model += [
        layers.Flatten(name="flatten"),
        layers.Dense(4096, activation="relu", name="dense1"),
        layers.Dense(4096, activation="relu", name="dense2"),
        layers.Dense(len(classes), name="logits"),
    ]
    return keras.Sequential(model, name="vgg16")
