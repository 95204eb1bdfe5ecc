"""AlexNet (Krizhevsky, Sutskever & Hinton, NIPS 2012) for 32×32 images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

# Filters and kernel of each convolution, and whether a pooling follows.
CONVOLUTIONS = ((96, 5, True), (256, 5, True), (384, 3, False), (384, 3, False), (256, 3, True))


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Five convolutions of 96, 256, 384, 384 and 256 filters, dense 4096, 4096 and the classes.

    The paper's first convolution, 11×11 at stride 4, would leave 8×8 of 32×32: it is read as 5×5 at
    stride 1. Pooling overlaps as in the paper, 3×3 at stride 2. Local response normalization,
    dropout and the split over two GPUs are left out. 29 983 114 parameters for ten classes.
    """
    model = [keras.Input(input_shape)]
    for i, (filters, kernel, pooled) in enumerate(CONVOLUTIONS, start=1):
        name = f"conv{i}"
        model.append(layers.Conv2D(filters, kernel, padding="same", activation="relu", name=name))
        if pooled:
            model.append(layers.MaxPooling2D(3, 2, name=f"pool{i}"))
    model += [
        layers.Flatten(name="flatten"),
        layers.Dense(4096, activation="relu", name="dense1"),
        layers.Dense(4096, activation="relu", name="dense2"),
        layers.Dense(len(classes), name="logits"),
    ]
    return keras.Sequential(model, name="alexnet")
