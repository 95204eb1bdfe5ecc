"""The decoupled model: the shared layers as they are, and one branch a class behind the cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfplus.decoupling.assignment import Indices
from tfplus_export.decoupling.tail import CHANNELWISE, Tail, fused

# Name of a decoupled layer → its filters of each class, [classes, kept].
Filters = Mapping[str, Indices]


def branch_name(label: int, layer: str) -> str:
    """What a layer's part that belongs to a class is called; slices are named by it."""
    return f"task_{label}_{layer}"


def build(tail: Tail, labels: Sequence[int], filters: Filters) -> keras.Model:
    """Builds the decoupled model; connections between filters of different classes are gone.

    Args:
      tail: of the model.
      labels: of each class.
      filters: of every decoupled layer.

    Returns:
      A model with the shared layers of the original (the same objects), and new layers behind.
    """
    logits = [_branch(tail, label, place, filters) for place, label in enumerate(labels)]
    output = joined(logits, tail.head.operation.name, tail.output, tail.activation)
    return keras.Model(tail.model.inputs[0], output, name=tail.model.name)


def joined(logits: Sequence[Any], classifier: str, output: str, activation: str) -> Any:
    """Logits side by side and the activation behind them, under the names of the original.

    Args:
      logits: of each class, [samples, 1].
      classifier: name of the layer that gave the logits.
      output: name of the layer that gave the model's output.
      activation: behind the logits.
    """
    ends = activation == "linear"
    name = output if ends else classifier if classifier != output else f"{classifier}_logits"
    together = logits[0] if len(logits) == 1 else layers.Concatenate(name=name)(list(logits))
    return together if ends else layers.Activation(activation, name=output)(together)


def _branch(tail: Tail, label: int, place: int, filters: Filters) -> Any:
    tensor, channels = tail.cut, np.arange(tail.cut.shape[-1])
    for node in tail.nodes:
        layer = node.operation
        name = branch_name(label, layer.name)
        chosen = filters[layer.name][place] if layer.name in filters else None
        if chosen is not None:
            has_shift = layer.use_bias or tail.normalization(layer.name) is not None
            tensor = _filtered(layer, name, channels, chosen, tensor, bias=not has_shift)
            channels = np.asarray(chosen)
        elif isinstance(layer, layers.Flatten):
            channels = _flattened(channels, node.input_tensors[0].shape)
            tensor = layers.Flatten(name=name)(tensor)
        else:
            tensor, channels = _kept(layer, name, channels, tensor)
    head = tail.head.operation
    name = branch_name(label, head.name)
    return _filtered(head, name, channels, np.asarray([place]), tensor, bias=True, activate=False)


def _filtered(
    layer: Any,
    name: str,
    channels: np.ndarray,
    chosen: np.ndarray,
    tensor: Any,
    *,
    bias: bool,
    activate: bool = True,
) -> Any:
    """A part of a layer's filters, on a part of its inputs.

    The activation stands behind it as a layer of its own, so that what comes before it can be
    measured. A bias is added where there is nothing that shifts a filter.
    """
    size = "units" if isinstance(layer, layers.Dense) else "filters"
    changes = {size: len(chosen), "activation": "linear", "use_bias": layer.use_bias or bias}
    values = [np.asarray(v) for v in layer.get_weights()]
    if isinstance(layer, layers.SeparableConv2D):
        wide = _multiplied(channels, layer.depth_multiplier)
        kernels = [values[0][:, :, channels], values[1][:, :, wide][..., chosen]]
        biases = values[2:]
    else:
        kernels = [values[0][..., channels, :][..., chosen]]
        biases = values[1:]
    shift = [biases[0][chosen]] if biases else [np.zeros(len(chosen), np.float32)] * bias
    made = _like(layer, name, changes)
    output = made(tensor)
    made.set_weights([*kernels, *shift])
    if activate and fused(layer) != "linear":
        output = layers.Activation(layer.activation, name=f"{name}_activation")(output)
    return output


def _kept(layer: Any, name: str, channels: np.ndarray, tensor: Any) -> tuple[Any, np.ndarray]:
    """A layer that keeps each channel to itself, on a part of the channels."""
    made = _like(layer, name, {})
    output = made(tensor)
    values = [np.asarray(v) for v in layer.get_weights()]
    if isinstance(layer, layers.DepthwiseConv2D):
        wide = _multiplied(channels, layer.depth_multiplier)
        made.set_weights([values[0][:, :, channels], *(v[wide] for v in values[1:])])
        return output, wide
    if isinstance(layer, layers.BatchNormalization):
        made.set_weights([v[channels] for v in values])
    elif not isinstance(layer, CHANNELWISE):
        raise TypeError(f"no rule for {type(layer).__name__}")
    return output, channels


def _like(layer: Any, name: str, changes: Mapping[str, Any]) -> Any:
    build_layer: Callable[[dict[str, Any]], Any] = type(layer).from_config
    return build_layer({**layer.get_config(), **changes, "name": name})


def _multiplied(channels: np.ndarray, multiplier: int) -> np.ndarray:
    """Channel c of the input becomes c·m to c·m + m − 1 of the output."""
    return (channels[:, None] * multiplier + np.arange(multiplier)).reshape(-1)


def _flattened(channels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Where the channels of a tensor [samples, ..., channels] lie once it is flat."""
    positions = int(np.prod(shape[1:-1], dtype=np.int64))
    return (np.arange(positions)[:, None] * shape[-1] + channels).reshape(-1)
