"""The decoupled model: the shared layers as they are, and one branch a class behind the cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfplus.decoupling.assignment import Indices
from tfplus_export.decoupling.structure.kinds import fused
from tfplus_export.decoupling.structure.tail import Tail

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
    own = {name: chosen[place] for name, chosen in filters.items()}
    made = {id(tail.cut): tail.cut}
    for node in tail.nodes:
        layer = node.operation
        name = branch_name(label, layer.name)
        given = [made[id(t)] for t in node.input_tensors]
        origin = tail.channels.of(node.input_tensors[0])
        channels = origin.kept(own)
        if layer.name in own:
            has_shift = layer.use_bias or tail.normalization(layer.name) is not None
            tensor = _filtered(layer, name, channels, own[layer.name], given[0], bias=not has_shift)
        else:
            tensor = _kept(layer, name, len(origin), channels, given)
        made[id(node.output_tensors[0])] = tensor
    read = tail.head.input_tensors[0]
    head = tail.head.operation
    name = branch_name(label, head.name)
    channels, chosen = tail.channels.of(read).kept(own), np.asarray([place])
    return _filtered(head, name, channels, chosen, made[id(read)], bias=True, activate=False)


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


def _kept(layer: Any, name: str, whole: int, channels: np.ndarray, given: Sequence[Any]) -> Any:
    """A layer that makes no new channels, on a part of the whole number of them.

    A group normalization then scales and shifts, so that it can be recalibrated.
    """
    changes: dict[str, Any] = {}
    if isinstance(layer, layers.GroupNormalization):
        groups = groups_of(layer.groups, whole, len(channels))
        changes = {"groups": groups, "scale": True, "center": True}
    made = _like(layer, name, changes)
    output = made(given[0] if len(given) == 1 else list(given))
    values = [np.asarray(v) for v in layer.get_weights()]
    if isinstance(layer, layers.DepthwiseConv2D):
        wide = _multiplied(channels, layer.depth_multiplier)
        made.set_weights([values[0][:, :, channels], *(v[wide] for v in values[1:])])
    elif isinstance(layer, layers.GroupNormalization):
        gamma = [values.pop(0)[channels]] if layer.scale else [np.ones(len(channels), np.float32)]
        beta = [values.pop(0)[channels]] if layer.center else [np.zeros(len(channels), np.float32)]
        made.set_weights([*gamma, *beta])
    elif isinstance(layer, layers.BatchNormalization):
        made.set_weights([v[channels] for v in values])
    return output


def groups_of(groups: int, whole: int, kept: int) -> int:
    """How many groups a class's channels are normalized in: equal ones, no smaller than before."""
    most = max(1, groups * kept // whole)
    return next(n for n in range(most, 0, -1) if kept % n == 0)


def _like(layer: Any, name: str, changes: Mapping[str, Any]) -> Any:
    build_layer: Callable[[dict[str, Any]], Any] = type(layer).from_config
    return build_layer({**layer.get_config(), **changes, "name": name})


def _multiplied(channels: np.ndarray, multiplier: int) -> np.ndarray:
    """Channel c of the input becomes c·m to c·m + m − 1 of the output."""
    return (channels[:, None] * multiplier + np.arange(multiplier)).reshape(-1)
