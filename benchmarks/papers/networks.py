"""The networks: a VGG without normalization, the same with one head a class, and narrower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfplus_export.tracing.naming import variable_names

# Filters of the convolutions, block by block with a pooling between; how many are cut by class.
SMALL = (((32,), (64, 128)), 2)
LARGE = (((16,), (32,), (64,), (128, 128)), 2)


def cut_of(shape: Sequence[int]) -> int:
    """How many convolutions of the network for an image are cut by class."""
    return _form(shape)[1]


def network(shape: Sequence[int], classes: int, width: float = 1.0) -> keras.Model:
    """Convolutions, averaged, and the logits.

    Args:
      shape: of an image.
      classes: how many.
      width: of each layer, as a fraction of the whole's.
    """
    image = keras.Input(shape)
    x: Any = image
    for block, filters in enumerate(_form(shape)[0]):
        x = layers.MaxPooling2D(2, name=f"pool{block}")(x) if block else x
        for i, count in enumerate(filters):
            name = f"conv{block + 1}_{i + 1}"
            conv = layers.Conv2D(
                part_of(count, width), 3, padding="same", activation="relu", name=name
            )
            x = conv(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="vgg")


def headed(shape: Sequence[int], heads: int, width: float = 1.0) -> keras.Model:
    """The same with a dense layer of its own for each class, so that a device has those it knows.

    Its weights are those of the network but for the classifier, whose column c is the head c.
    """
    body = network(shape, 1, width)
    features = body.get_layer("average").output
    logits = [layers.Dense(1, name=f"task_{c}_logits")(features) for c in range(heads)]
    output = logits[0] if heads == 1 else layers.Concatenate(name="logits")(logits)
    return keras.Model(body.inputs[0], output, name="headed")


def headed_weights(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network's weights as those of `headed`: one head for each column of the classifier."""
    found = {n: w for n, w in weights.items() if not n.startswith("shared/logits/")}
    kernel, bias = weights["shared/logits/kernel"], weights["shared/logits/bias"]
    for place in range(kernel.shape[1]):
        found[f"task/{place}/logits/kernel"] = kernel[:, place : place + 1]
        found[f"task/{place}/logits/bias"] = bias[place : place + 1]
    return found


def shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    """Shape of every weight by slice."""
    names = variable_names(model)
    return {names[id(v)]: tuple(v.shape) for v in model.variables}


def part_of(count: int, width: float) -> int:
    """How many filters a layer has at a width."""
    return max(1, round(count * width))


def _form(shape: Sequence[int]) -> tuple[tuple[tuple[int, ...], ...], int]:
    return SMALL if shape[0] < 16 else LARGE
