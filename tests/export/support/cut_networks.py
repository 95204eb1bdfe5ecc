"""Networks as users have them, small, each with the masks that tell how it is cut.

Masks are written down by hand: layer of the tail → name of the layer whose filters its channels
are. They are the oracle of how filters travel through sums, depthwise convolutions and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

IMAGE = (8, 8, 2)
CLASSES = 3


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
      build: makes it.
      convolutions: how many are cut.
      filters: of each layer that is cut, how many there are, in any order.
      tied: layers whose filters go together.
      masks: layer → that whose filters are its channels.
    """

    build: Callable[[], keras.Model]
    convolutions: int
    filters: Mapping[str, int]
    tied: tuple[tuple[str, ...], ...]
    masks: Mapping[str, str]


def _conv(x: Any, filters: int, size: int, name: str, stride: int = 1, act: bool = True) -> Any:
    x = layers.Conv2D(filters, size, stride, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if act else x


def _classified(image: Any, x: Any) -> keras.Model:
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax", name="class")(x))


def resnet() -> keras.Model:
    """The last stack of ResNet-8 (a convolution beside the block) and an identity block behind."""
    image = keras.Input(IMAGE)
    x = _conv(image, 4, 3, "stem")
    y = _conv(_conv(x, 6, 3, "a1", 2), 7, 3, "a2", act=False)
    short = layers.Conv2D(7, 1, 2, "same", name="short")(x)
    x = layers.ReLU(name="a")(layers.Add(name="sum1")([y, short]))
    y = _conv(_conv(x, 6, 3, "b1"), 7, 3, "b2", act=False)
    return _classified(image, layers.ReLU(name="b")(layers.Add(name="sum2")([x, y])))


def mobilenet() -> keras.Model:
    """Two inverted residuals of MobileNetV2, the second with its shortcut, and the last layer."""
    image = keras.Input(IMAGE)
    x = _conv(image, 4, 3, "stem", 2)
    for block, shortcut in (("p", False), ("q", True)):
        y = _conv(x, 12, 1, f"{block}_expand")
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{block}_dw")(y)
        y = layers.BatchNormalization(name=f"{block}_dw_bn")(y)
        y = layers.ReLU(6.0, name=f"{block}_dw_relu")(y)
        y = _conv(y, 5, 1, f"{block}_project", act=False)
        x = layers.Add(name=f"{block}_sum")([x, y]) if shortcut else y
    return _classified(image, _conv(x, 9, 1, "last"))


def concatenated() -> keras.Model:
    """A dense block, whose concatenation also has the shared output, and a model within it."""
    image = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    inside = keras.Input((8, 8, 4))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="grow1")(inside)
    y = layers.Concatenate(name="cat1")([inside, y])
    x = keras.Model(inside, y, name="inner")(x)
    y = layers.Conv2D(7, 3, padding="same", activation="relu", name="grow2")(x)
    x = layers.Concatenate(name="cat2")([y, x])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Dense(5, activation="sigmoid", name="gate")(gate)
    x = layers.Conv2D(5, 1, activation="relu", name="mix")(x)
    return _classified(image, layers.Multiply(name="gated")([x, gate]))


def vgg(last: str = "max") -> keras.Model:
    """Six convolutions behind the cut, as of VGG-16, and two dense layers."""
    stack = [keras.Input(IMAGE), layers.Conv2D(4, 3, padding="same", activation="relu")]
    for i in range(6):
        stack.append(layers.Conv2D(6, 3, padding="same", activation="relu", name=f"c{i}"))
        stack += [layers.MaxPooling2D(name=f"pool{i}")] if i in (2, 5) else []
    stack += [layers.Flatten(name="flat"), layers.Dense(8, activation="relu", name="d")]
    return keras.Sequential([*stack, layers.Dense(CLASSES, name="class")])


def _of(owner: str, *suffixes: str) -> dict[str, str]:
    return {f"{owner}{s}": owner for s in ("", *suffixes)}


_RELU = ("_bn", "_relu")
NETWORKS: dict[str, Network] = {
    "resnet": Network(
        resnet,
        5,
        {"a1": 6, "a2": 7, "short": 7, "b1": 6, "b2": 7},
        (("a2", "short", "b2"),),
        {
            **_of("a1", *_RELU), **_of("a2", "_bn"), "short": "a2", "sum1": "a2", "a": "a2",
            **_of("b1", *_RELU), "b2": "a2", "b2_bn": "a2", "sum2": "a2", "b": "a2", "gap": "a2",
        },
    ),
    "mobilenet": Network(
        mobilenet,
        5,
        {"p_expand": 12, "p_project": 5, "q_expand": 12, "q_project": 5, "last": 9},
        (("p_project", "q_project"),),
        {
            **_of("p_expand", *_RELU), **_of("p_project", "_bn"), **_of("q_expand", *_RELU),
            **{f"{b}_dw{s}": f"{b}_expand" for b in "pq" for s in ("", *_RELU)},
            "q_project": "p_project", "q_project_bn": "p_project", "q_sum": "p_project",
            **_of("last", *_RELU), "gap": "last",
        },
    ),
    "concatenated": Network(
        concatenated,
        3,
        {"grow1": 6, "grow2": 7, "gate": 5, "mix": 5},
        (("mix", "gate"),),
        {"grow1": "grow1", "grow2": "grow2", "gate": "mix", "mix": "mix", "gated": "mix",
         "gap": "mix"},
    ),
    "vgg": Network(
        vgg,
        6,
        {**{f"c{i}": 6 for i in range(6)}, "d": 8},
        (),
        {**{f"c{i}": f"c{i}" for i in range(6)}, "pool2": "c2", "pool5": "c5", "d": "d"},
    ),
}  # fmt: skip


def trained_looking(model: keras.Model) -> keras.Model:
    """The same with weights that nothing is at rest with: no zero biases, no unit scales."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        sub = getattr(layer, "layers", None)
        if sub is not None:
            trained_looking(layer)
            continue
        layer.set_weights([
            w + rng.uniform(0.05, 0.3, w.shape).astype(w.dtype) * (w.ndim == 1)
            for w in layer.get_weights()
        ])  # fmt: skip
    return model


def images(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """float32 [count, 8, 8, 2] and places of classes, [count]; a class is brighter in its rows."""
    rng = np.random.default_rng(1)
    y = np.arange(count) % CLASSES
    x = rng.normal(0, 1, (count, *IMAGE)).astype(np.float32)
    for place in range(CLASSES):
        x[y == place, 2 * place : 2 * place + 3] += 1
    return x, y
