"""A convolutional network that spots keywords in log-mel spectrograms.

In the manner of Sainath & Parada, "Convolutional Neural Networks for Small-footprint Keyword
Spotting", Interspeech 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

FILTERS = (32, 64, 128)
# Keras' 0.99 needs hundreds of steps to forget the initial averages; a device takes tens an epoch.
MOMENTUM = 0.9


def build(input_shape: tuple[int, ...], classes: Sequence[int]) -> keras.Model:
    """Three 3×3 convolutions of 32, 64 and 128 filters, each halved, averaged, and the classes.

    The spectrogram is [frames, mel bands, 1]. Batch normalization and ReLU follow each convolution.
    No paper gives this network in full; 98 056 parameters for 40 classes, moving averages not
    counted.
    """
    x = image = keras.Input(input_shape)
    for i, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{i}")(x)
        x = layers.BatchNormalization(momentum=MOMENTUM, name=f"norm{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{i}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(image, layers.Dense(len(classes), name="logits")(x), name="keyword_cnn")
