"""Networks that people bring, small ones, from their published descriptions, with random weights.

MLPerf Tiny: Banbury et al., NeurIPS 2021. LeNet-5: LeCun et al., 1998. FedAvg's CNN: McMahan et
al., AISTATS 2017. FCN: Wang et al., IJCNN 2017. The others are Keras' and TensorFlow's tutorials.
All return logits but the autoencoder, which returns what it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers


def resnet8() -> Any:
    """MLPerf Tiny's image classification."""
    image = keras.Input((32, 32, 3))
    y = _normalized(layers.Conv2D(16, 3, padding="same")(image))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        x = y
        y = _normalized(layers.Conv2D(filters, 3, stride, "same")(x))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if stride > 1:
            x = layers.Conv2D(filters, 1, stride, "same")(x)
        y = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Flatten()(layers.AveragePooling2D(8)(y))
    return keras.Model(image, layers.Dense(10)(y))


def lenet5_tanh() -> Any:
    """LeNet-5 with average pooling and tanh, on 28×28."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10),
        ]
    )


def simple_audio() -> Any:
    """TensorFlow's tutorial on keywords, behind its resizing."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(8),
        ]
    )


def mnist_convnet() -> Any:
    """Keras' "Simple MNIST convnet"."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )


def fedavg_cnn() -> Any:
    """The CNN of "Communication-efficient learning" for MNIST."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(10),
        ]
    )


def series_fcn() -> Any:
    """Keras' "Timeseries classification from scratch", 500 steps."""
    stack: list[Any] = [keras.Input((500, 1))]
    for _ in range(3):
        stack += [layers.Conv1D(64, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.GlobalAveragePooling1D(), layers.Dense(2)])


def ds_cnn() -> Any:
    """MLPerf Tiny's keyword spotting."""
    sound = keras.Input((49, 10, 1))
    y = _normalized(layers.Conv2D(64, (10, 4), 2, "same")(sound))
    for _ in range(4):
        y = _normalized(layers.DepthwiseConv2D(3, padding="same")(y))
        y = _normalized(layers.Conv2D(64, 1)(y))
    return keras.Model(sound, layers.Dense(12)(layers.GlobalAveragePooling2D()(y)))


def visual_wake_words() -> Any:
    """MLPerf Tiny's person detection: MobileNet v1, a quarter as wide, 96×96."""
    image = keras.Input((96, 96, 3))
    y = _normalized(layers.Conv2D(8, 3, 2, "same", use_bias=False)(image))
    widths = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    for place, width in enumerate(widths):
        stride = 2 if place in (1, 3, 5, 11) else 1
        y = _normalized(layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(y))
        y = _normalized(layers.Conv2D(width, 1, use_bias=False)(y))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))


def activity_cnn_lstm() -> Any:
    """A CNN with an LSTM over 128 samples of nine sensors, as tutorials on activities have it."""
    return keras.Sequential(
        [
            keras.Input((128, 9)),
            layers.Conv1D(64, 3, activation="relu"),
            layers.Conv1D(64, 3, activation="relu"),
            layers.MaxPooling1D(4),
            layers.LSTM(64),
            layers.Dense(6),
        ]
    )


def series_transformer() -> Any:
    """Keras' "Timeseries classification with a Transformer", of two blocks over 64 steps."""
    series = keras.Input((64, 1))
    x = series
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 64)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(y) + x
        y = layers.Conv1D(1, 1)(layers.Conv1D(4, 1, activation="relu")(x))
        x = layers.LayerNormalization(epsilon=1e-6)(y) + x
    y = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    return keras.Model(series, layers.Dense(2)(layers.Dense(128, activation="relu")(y)))


def autoencoder() -> Any:
    """MLPerf Tiny's anomaly detection; its loss is the mean squared error."""
    stack: list[Any] = [keras.Input((640,))]
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        stack += [layers.Dense(units), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([*stack, layers.Dense(640)])


def tutorial_dense() -> Any:
    """TensorFlow's tutorial on training on a device."""
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )


MODELS: dict[str, Callable[[], Any]] = {
    "resnet8": resnet8,
    "lenet5-tanh": lenet5_tanh,
    "simple-audio": simple_audio,
    "mnist-convnet": mnist_convnet,
    "fedavg-cnn": fedavg_cnn,
    "series-fcn": series_fcn,
    "ds-cnn": ds_cnn,
    "visual-wake-words": visual_wake_words,
    "activity-cnn-lstm": activity_cnn_lstm,
    "series-transformer": series_transformer,
    "autoencoder": autoencoder,
    "tutorial-dense": tutorial_dense,
}


def _normalized(y: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(y))
