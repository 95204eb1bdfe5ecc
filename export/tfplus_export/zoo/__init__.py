"""Models by name, for `tfplus export zoo:NAME`: one family a file, one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import keras

from tfplus.errors import UsageError
from tfplus.manifest import Preprocessing
from tfplus_export.zoo import digits, lenet, reduced_mobilenet, reduced_resnet, small_cnn, vgg_small

Build = Callable[[tuple[int, ...], Sequence[int]], keras.Model]


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
      build: (input shape, class labels) → Keras model that returns logits.
      input_shape: used where none is asked for.
      classes: number of classes, likewise.
      summary: one line.
      preprocessing: of samples stored as integers.
    """

    build: Build
    input_shape: tuple[int, ...]
    classes: int
    summary: str
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(scale=1 / 255))


MODELS = MappingProxyType(
    {
        "digits": Entry(
            digits.build,
            (8, 8, 1),
            10,
            "shared convolutions and one branch a class, for 8×8 digits",
            Preprocessing(scale=1 / 16),
        ),
        "lenet": Entry(lenet.build, (28, 28, 1), 10, "LeNet-5 with ReLU and max pooling"),
        "reduced-mobilenet": Entry(
            reduced_mobilenet.build,
            (32, 32, 3),
            10,
            "a convolution and five depthwise-separable blocks, batch-normalized",
        ),
        "reduced-resnet": Entry(
            reduced_resnet.build,
            (32, 32, 3),
            10,
            "a convolution and five wide residual blocks, batch-normalized",
        ),
        "small-cnn": Entry(small_cnn.build, (32, 32, 3), 10, "three convolutions, average pooled"),
        "vgg-small": Entry(vgg_small.build, (32, 32, 3), 10, "six convolutions in three blocks"),
    }
)


def entry(name: str) -> Entry:
    """Looks a model up.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in MODELS:
        raise UsageError(f"zoo has no model '{name}': expected one of {', '.join(MODELS)}")
    return MODELS[name]
