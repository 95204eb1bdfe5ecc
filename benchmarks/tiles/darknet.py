"""The first 16 layers of YOLOv2 as a Keras model: what the paper on tiles trains.

Of Redmon and Farhadi, YOLO9000: Better, Faster, Stronger, 2017, table 6, as far as the last layer
but two in front of the passthrough: twelve convolutions and four poolings. Behind them stands a
mean over the map and one dense layer: tiles train with labels, not with boxes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

# Filters and kernel of each convolution; None is a maximum over 2×2.
LAYERS: tuple[tuple[int, int] | None, ...] = (
    (32, 3), None, (64, 3), None, (128, 3), (64, 1), (128, 3), None, (256, 3), (128, 1), (256, 3),
    None, (512, 3), (256, 1), (512, 3), (256, 1),
)  # fmt: skip
STRIDE = 16
SLOPE = 0.1

Normalization = Literal["batch", "frozen", "none"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)


def model(side: int, normalization: Normalization, classes: int = 20) -> Any:
    """The network.

    Args:
      side: rows and columns of an image, a multiple of 16.
      normalization: behind each convolution: over the batch as it trains; by its moving averages
        alone, which do not train; or none, but a bias.
      classes: of the dense layer.
    """
    import keras
    from keras import layers

    x = inputs = keras.Input((side, side, 3), name="image")
    for number, layer in enumerate(LAYERS, start=1):
        if layer is None:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
            continue
        filters, kernel = layer
        bias, name = normalization == "none", f"conv{number}"
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=bias, name=name)(x)
        if normalization != "none":
            trains = normalization == "batch"
            x = layers.BatchNormalization(trainable=trains, name=f"norm{number}")(x)
        x = layers.LeakyReLU(negative_slope=SLOPE, name=f"leaky{number}")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="yolov2_front")
