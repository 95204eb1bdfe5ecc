"""Floating-point operations of a Keras model, from the shapes of its layers alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from tfplus.errors import ExportError

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Flops:
    """Of the products of one sample, two for each multiply-add.

    Attributes:
      forward: of a forward pass.
      step: of a training step: the forward pass, the gradient of each trainable kernel, and that of
        each input which trainable weights lie in front of.
    """

    forward: int
    step: int


def of_model(model: keras.Model) -> Flops:
    """Counts the products of a model's convolutions and dense layers.

    Elementwise operations and reductions, such as those of batch normalization, are left out.

    Args:
      model: functional or sequential, without models within it.

    Raises:
      ExportError: a layer has a kernel that is none of those.
    """
    forward = step = 0
    for layer in model.layers:
        for node in layer._inbound_nodes:
            cost = 2 * _multiply_adds(layer, node.output_tensors[0].shape)
            passes_back = any(_learns(tensor) for tensor in node.input_tensors)
            forward += cost
            step += cost * (1 + bool(layer.trainable_weights) + passes_back)
    return Flops(forward, step)


def parameters(model: keras.Model) -> int:
    """Trainable parameters, counted as scalars."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def _multiply_adds(layer: Any, output_shape: tuple[int, ...]) -> int:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    outputs = math.prod(output_shape[1:])
    if isinstance(layer, _DEPTHWISE):
        return outputs * math.prod(kernel.shape[:-2])
    if isinstance(layer, (*_CONVOLUTIONS, layers.Dense)):
        return outputs * math.prod(kernel.shape[:-1])
    raise ExportError(
        f"layer '{layer.name}': products of a {type(layer).__name__} are not counted: expected "
        "convolutions and dense layers"
    )


def _learns(tensor: Any) -> bool:
    """Whether trainable weights lie in front of a tensor of the model."""
    layer, node_index, _ = tensor._keras_history
    if layer.trainable_weights:
        return True
    return any(_learns(t) for t in layer._inbound_nodes[node_index].input_tensors)
