"""Models by name, for `tfplus export zoo:NAME`: one family a file, one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import keras

from tfplus.errors import UsageError
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.zoo import (
    alexnet,
    digits,
    handwriting,
    keyword_cnn,
    large_digits,
    lenet,
    mentee,
    reduced_mobilenet,
    reduced_resnet,
    small_cnn,
    sweeps,
    vgg16,
    vgg_small,
)

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
      paper: parameters that the paper gives, and for what; empty where none are known.
    """

    build: Build
    input_shape: tuple[int, ...]
    classes: int
    summary: str
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(scale=1 / 255))
    paper: str = ""


_IMAGE = (32, 32, 3)
_DIGIT = (28, 28, 1)

MODELS = MappingProxyType(
    {
        "alexnet": Entry(
            alexnet.build,
            _IMAGE,
            10,
            "five convolutions and three dense layers, pooled with overlap",
            paper="60 million at 224×224, 1000 classes (Krizhevsky et al. 2012, section 1)",
        ),
        "digits": Entry(
            digits.build,
            (8, 8, 1),
            10,
            "shared convolutions and one branch a class, for 8×8 digits",
            Preprocessing(scale=1 / 16),
        ),
        "handwriting": Entry(
            handwriting.build, _DIGIT, 10, "a convolutional backbone to freeze, and a dense head"
        ),
        "keyword-cnn": Entry(
            keyword_cnn.build,
            (61, 40, 1),
            40,
            "three convolutions, batch-normalized, for log-mel spectrograms",
            # A byte is a tenth of a natural logarithm, from −14 up.
            Preprocessing(scale=0.1, offset=-14.0),
        ),
        "large-digits": Entry(
            large_digits.build,
            (32, 32, 1),
            10,
            "convolutions over digits of 8×8 enlarged to 32×32, for training by tiles",
            Preprocessing(scale=1 / 16),
        ),
        "lenet": Entry(
            lenet.build,
            _DIGIT,
            10,
            "LeNet-5 with ReLU and max pooling",
            paper="60 000, its second convolution not fully connected (LeCun et al. 1998, II.B)",
        ),
        "mentee": Entry(mentee.build, _IMAGE, 10, "five convolutions, averaged, and wide layers"),
        "reduced-mobilenet": Entry(
            reduced_mobilenet.build,
            _IMAGE,
            10,
            "a convolution and five depthwise-separable blocks, batch-normalized",
        ),
        "reduced-resnet": Entry(
            reduced_resnet.build,
            _IMAGE,
            10,
            "a convolution and five wide residual blocks, batch-normalized",
        ),
        "small-cnn": Entry(small_cnn.build, _IMAGE, 10, "three convolutions, average pooled"),
        "vgg16": Entry(
            vgg16.build,
            _IMAGE,
            10,
            "thirteen convolutions and three dense layers",
            paper="138 million at 224×224, 1000 classes (Simonyan & Zisserman 2015, table 2)",
        ),
        "vgg-small": Entry(vgg_small.build, _IMAGE, 10, "six convolutions in three blocks"),
    }
)


def entry(name: str) -> Entry:
    """Looks a model up, also one of a sweep such as `conv-d4-w128`.

    Raises:
      UsageError: there is none of that name.
    """
    if name in MODELS:
        return MODELS[name]
    build = sweeps.find(name)
    if build is not None:
        return Entry(build, _IMAGE, 10, "one kind of layer, in a depth and a width")
    families = ", ".join(f"{family}-dDEPTH-wWIDTH" for family in sweeps.FAMILIES)
    raise UsageError(
        f"zoo has no model '{name}': expected one of {', '.join(MODELS)}, or {families}"
    )
