"""The models whose steps are timed: the zoo's, MobileNetV2, and those that people bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOBILENET_V2 = "mobilenet-v2-96"
SUITES = {
    "small": ("lenet", "small-cnn", "vgg-small"),
    "papers": (
        "reduced-mobilenet",
        "reduced-resnet",
        "mentee",
        "vgg16",
        "alexnet",
        "keyword-cnn",
        MOBILENET_V2,
    ),
    "users": (
        "resnet8",
        "lenet5-tanh",
        "simple-audio",
        "mnist-convnet",
        "fedavg-cnn",
        "series-fcn",
        "ds-cnn",
        "visual-wake-words",
        "activity-cnn-lstm",
        "series-transformer",
        "autoencoder",
        "tutorial-dense",
    ),
}
NAMES = tuple(name for suite in SUITES.values() for name in suite)


@dataclass(frozen=True)
class Built:
    """A Keras model that returns logits, the shape of a sample, and how many classes there are.

    With 0 classes it returns what it was given, as an autoencoder does.
    """

    model: Any
    input_shape: tuple[int, ...]
    classes: int


def build(name: str) -> Built:
    """Builds one of `NAMES` with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    if name == MOBILENET_V2:
        shape = (96, 96, 3)
        model = keras.applications.MobileNetV2(
            input_shape=shape, weights=None, classes=10, classifier_activation=None
        )
        return Built(model, shape, 10)
    if name in SUITES["users"]:
        from support.user_models import MODELS

        model = MODELS[name]()
        shape = model.input_shape[1:]
        return Built(model, shape, 0 if model.output_shape[1:] == shape else model.output_shape[-1])
    from tfplus_export import zoo

    entry = zoo.entry(name)
    model = entry.build(entry.input_shape, range(entry.classes))
    return Built(model, entry.input_shape, entry.classes)
