"""Which layers can be cut by class, and how their channels depend on those of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tfplus.errors import ExportError

# What keeps each channel to itself, and has no weights.
CHANNELWISE = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.GlobalAveragePooling2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.UpSampling2D,
)
NONLINEAR = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)
CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D)
NORMALIZATIONS = (layers.BatchNormalization, layers.GroupNormalization)
# What joins several tensors channel by channel: their filters go to classes together.
SUMS = (
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)
_OTHERS = (*NORMALIZATIONS, layers.Dense, layers.DepthwiseConv2D, layers.Flatten)
_ALL = (*CHANNELWISE, *CONVOLUTIONS, *SUMS, *_OTHERS, layers.Concatenate)


def fused(layer: Any) -> str:
    """Name of the activation that is part of a layer."""
    activation = getattr(layer, "activation", None) or keras.activations.linear
    return getattr(activation, "__name__", type(activation).__name__)


def has_filters(layer: Any) -> bool:
    """Whether a layer makes new channels of all of its inputs'."""
    return type(layer) in (*CONVOLUTIONS, layers.Dense)


def check(layer: Any, inputs: Sequence[Any]) -> None:
    """Checks that a layer of the tail can be cut by class.

    Args:
      layer: of the tail.
      inputs: tensors that it reads.

    Raises:
      ExportError: it cannot; the message names it and what was expected.
    """
    kind, last = type(layer), len(inputs[0].shape) - 1
    if kind not in _ALL:
        raise ExportError(
            f"layer '{layer.name}': a {kind.__name__} cannot be cut by class: expected "
            "convolutions, pooling, batch or group normalization, activations, dropout, sums and "
            "concatenations as layers, Flatten and Dense in the tail"
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ExportError(f"layer '{layer.name}': is channels_first, expected channels_last")
    if kind is layers.Conv2D and layer.groups != 1:
        raise ExportError(f"layer '{layer.name}': has {layer.groups} groups, expected 1")
    if kind in NORMALIZATIONS and layer.axis not in (-1, last):
        raise ExportError(
            f"layer '{layer.name}': normalizes axis {layer.axis}, expected the last one"
        )
    if kind is layers.Concatenate and layer.axis not in (-1, last):
        raise ExportError(
            f"layer '{layer.name}': concatenates along axis {layer.axis}, expected the last one"
        )
    if kind is layers.Activation and fused(layer) in ("softmax", "log_softmax"):
        raise ExportError(
            f"layer '{layer.name}': a softmax joins all channels, and cannot be cut by class"
        )
