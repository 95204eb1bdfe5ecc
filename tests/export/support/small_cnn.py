"""A small network with a convolutional tail, and samples of three classes."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

LABELS = (5, 0, 9)


def network(*, normalized: bool = False) -> keras.Model:
    """Three convolutions, one of them by depth, a hidden dense layer, and a softmax over three."""
    keras.utils.set_random_seed(1)
    start = keras.initializers.RandomNormal(stddev=0.3)
    norm = [layers.BatchNormalization(name="norm"), layers.LeakyReLU(name="leaky")]
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer=start, name="stem"),
            layers.Conv2D(
                9, 3, padding="same", use_bias=not normalized, name="conv2",
                activation=None if normalized else "relu",
            ),
            *(norm if normalized else []),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(
                12, 2, padding="same", activation="relu", bias_initializer=start, name="conv3"
            ),
            layers.Flatten(name="flatten"),
            layers.Dense(7, activation="tanh", bias_initializer=start, name="hidden"),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(3, activation="softmax", bias_initializer=start, name="class"),
        ],
        name="small",
    )  # fmt: skip


def samples() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [60, 6, 6, 2], brighter in another corner for each class, and labels."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(LABELS, 20)).astype(np.int32)
    x = rng.integers(0, 120, (60, 6, 6, 2))
    for label, (i, j) in zip(LABELS, ((0, 0), (0, 3), (3, 3)), strict=True):
        x[y == label, i : i + 3, j : j + 3] += 130
    return x.astype(np.uint8), y
