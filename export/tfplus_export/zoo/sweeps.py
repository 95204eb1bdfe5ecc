"""Networks of one kind of layer, in any depth and width: what a layer costs, and how it grows.

After the sweeps of Chen, Biookaghazadeh & Zhao, "Exploring the Capabilities of Mobile Devices in
Supporting Deep Learning", SEC 2019. A name says which: `conv-d4-w128` is four convolutions of 128
filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType

import keras
from keras import layers

# What the papers sweep; a name may ask for others.
DEPTHS = (1, 2, 4, 8)
WIDTHS = (64, 128, 256, 512)
_MOST_DEPTH, _MOST_WIDTH = 64, 4096
_NAME = re.compile(r"^(.+)-d([1-9]\d{0,3})-w([1-9]\d{0,4})$")


def dense(
    depth: int, width: int, input_shape: tuple[int, ...], classes: Sequence[int]
) -> keras.Model:
    """Dense layers alone: the sample, flattened, `depth` layers of `width`, and the classes.

    With F numbers a sample: F·w + w + (d − 1)(w² + w) + w·c + c parameters.
    """
    model = [keras.Input(input_shape), layers.Flatten(name="flatten")]
    for i in range(1, depth + 1):
        model.append(layers.Dense(width, activation="relu", name=f"dense{i}"))
    return _classified(model, classes, f"fc_d{depth}_w{width}")


def convolutional(
    depth: int, width: int, input_shape: tuple[int, ...], classes: Sequence[int]
) -> keras.Model:
    """3×3 convolutions alone, `depth` of `width` filters, averaged for the classes.

    Strides are not given: read as 1, so that every layer but the first costs the same. With C
    channels: 9Cw + w + (d − 1)(9w² + w) + w·c + c parameters.
    """
    model = [keras.Input(input_shape)]
    for i in range(1, depth + 1):
        model.append(layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv{i}"))
    return _classified([*model, _average()], classes, f"conv_d{depth}_w{width}")


def depthwise(
    depth: int, width: int, input_shape: tuple[int, ...], classes: Sequence[int]
) -> keras.Model:
    """3×3 depthwise convolutions alone, `depth` of `width` channels, averaged for the classes.

    A depthwise convolution keeps the number of channels: a 1×1 convolution in front makes `width`
    of the image's C. Strides are not given: read as 1. Cw + w + d(9w + w) + w·c + c parameters.
    """
    model = [keras.Input(input_shape), layers.Conv2D(width, 1, activation="relu", name="widen")]
    for i in range(1, depth + 1):
        name = f"depthwise{i}"
        model.append(layers.DepthwiseConv2D(3, padding="same", activation="relu", name=name))
    return _classified([*model, _average()], classes, f"depthwise_d{depth}_w{width}")


FAMILIES = MappingProxyType({"fc": dense, "conv": convolutional, "depthwise": depthwise})


def find(name: str) -> Callable[[tuple[int, ...], Sequence[int]], keras.Model] | None:
    """What builds the network of a name such as `conv-d4-w128`; None if it is no such name."""
    match = _NAME.match(name)
    if match is None or match[1] not in FAMILIES:
        return None
    depth, width = int(match[2]), int(match[3])
    if depth > _MOST_DEPTH or width > _MOST_WIDTH:
        return None
    return partial(FAMILIES[match[1]], depth, width)


def names() -> list[str]:
    """The names that the papers sweep."""
    return [f"{family}-d{d}-w{w}" for family in FAMILIES for d in DEPTHS for w in WIDTHS]


def _average() -> keras.Layer:
    return layers.GlobalAveragePooling2D(name="average")


def _classified(model: list[keras.Layer], classes: Sequence[int], name: str) -> keras.Model:
    return keras.Sequential([*model, layers.Dense(len(classes), name="logits")], name=name)
