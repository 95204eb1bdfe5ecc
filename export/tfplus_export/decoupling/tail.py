"""The part of a model that is cut into branches: its last convolutions and all that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from tfplus.decoupling.plan import ACTIVATIONS
from tfplus.errors import ExportError, UsageError

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
_NONLINEAR = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)
_CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D)
_TASK = "task_"


@dataclass(frozen=True)
class Tail:
    """The layers behind the cut.

    Attributes:
      model: the whole, as a functional model.
      nodes: of the tail in topological order, up to the classifier without it.
      head: the node of the dense layer that gives the logits.
      cut: the tensor that branches read.
      decoupled: names of the layers whose filters go to classes, in order.
      classes: how many logits.
      activation: behind the logits, one of `ACTIVATIONS`.
      output: name of the layer that gives the model's output.
    """

    model: keras.Model
    nodes: tuple[Any, ...]
    head: Any
    cut: Any
    decoupled: tuple[str, ...]
    classes: int
    activation: str
    output: str

    def layer(self, name: str) -> Any:
        """The layer of a name, and not one of the model's own."""
        return next(n.operation for n in self._all if n.operation.name == name)

    def given(self, name: str) -> Any:
        """The tensor that a layer reads."""
        return next(n for n in self._all if n.operation.name == name).input_tensors[0]

    def made(self, name: str) -> Any:
        """The tensor that a layer makes."""
        return next(n for n in self._all if n.operation.name == name).output_tensors[0]

    def normalization(self, name: str) -> Any | None:
        """The batch normalization that alone reads a layer's output; None where there is none."""
        readers = self._readers(self.made(name))
        is_one = len(readers) == 1 and isinstance(readers[0].operation, layers.BatchNormalization)
        return readers[0].operation if is_one else None

    def activated(self, name: str) -> Any:
        """What a layer's filters answer with: its output behind normalization and activation."""
        tensor = self.made(name)
        if fused(self.layer(name)) != "linear":
            return tensor
        while True:
            readers = self._readers(tensor)
            passes = (layers.BatchNormalization, *_NONLINEAR)
            if len(readers) != 1 or not isinstance(readers[0].operation, passes):
                return tensor
            tensor = readers[0].output_tensors[0]
            if isinstance(readers[0].operation, _NONLINEAR):
                return tensor

    @property
    def _all(self) -> tuple[Any, ...]:
        return (*self.nodes, self.head)

    def _readers(self, tensor: Any) -> list[Any]:
        return [n for n in self._all if any(t is tensor for t in n.input_tensors)]


def find(model: keras.Model, convolutions: int) -> Tail:
    """Finds the last convolutions of a model, and checks that what follows can be cut.

    Args:
      model: sequential or functional, with one input of images, and one logit or probability a
        class as its output.
      convolutions: how many of the last ones are decoupled; dense layers behind them are, too.

    Raises:
      ExportError: the model has no such tail; the message names the layer and what it is.
      UsageError: it has fewer convolutions.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise ExportError(
            f"model '{model.name}': expected one input, and one output [samples, classes] to be "
            f"decoupled by class; it has {len(model.inputs)} inputs and the outputs "
            f"{[list(t.shape) for t in model.outputs]}"
        )
    functional: Any = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    nodes = _ordered(functional)
    _check_names(functional)
    head, activation = _head(functional, nodes)
    found = [n for n in nodes if type(n.operation) in _CONVOLUTIONS]
    if not found:
        raise ExportError(
            f"model '{model.name}': has no convolutional tail: none of its own layers is a Conv2D "
            "or SeparableConv2D (those of models within it do not count); expected convolutions in "
            "front of the classifier"
        )
    if not 1 <= convolutions <= len(found):
        raise UsageError(
            f"--layers {convolutions}: the model has {len(found)} convolutions: expected 1 to "
            f"{len(found)}"
        )
    first = found[-convolutions]
    behind = _behind(first, nodes)
    tail = behind[: behind.index(head)]
    _check_tail(tail, first)
    return Tail(
        functional,
        tuple(tail),
        head,
        first.input_tensors[0],
        tuple(n.operation.name for n in tail if _has_filters(n.operation)),
        int(model.outputs[0].shape[-1]),
        activation,
        nodes[-1].operation.name,
    )


def _ordered(functional: Any) -> list[Any]:
    """The nodes of a functional model, inputs first."""
    depths: dict[int, list[Any]] = functional._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth]]


def _check_names(functional: keras.Model) -> None:
    taken = next((e.name for e in functional.layers if e.name.startswith(_TASK)), None)
    if taken is not None:
        raise ExportError(
            f"model '{functional.name}': layer '{taken}' is of one class already: expected a model "
            "that is not decoupled"
        )


def _head(functional: keras.Model, nodes: Sequence[Any]) -> tuple[Any, str]:
    """The node of the dense layer at the end, and the activation behind its logits."""
    node = nodes[-1]
    last = node.operation
    activation = "linear"
    if isinstance(last, layers.Softmax):
        activation = "softmax"
    elif isinstance(last, layers.Activation):
        activation = fused(last)
    if isinstance(last, (layers.Softmax, layers.Activation)):
        before = node.input_tensors[0]
        node = next(n for n in nodes if any(t is before for t in n.output_tensors))
    layer = node.operation
    if type(layer) is not layers.Dense or (layer is not last and fused(layer) != "linear"):
        raise ExportError(
            f"model '{functional.name}': ends in layer '{layer.name}', a {type(layer).__name__}: "
            "expected a Dense layer that gives one logit a class, and behind it no more than a "
            "softmax or a sigmoid"
        )
    if layer is last:
        activation = fused(layer)
    if activation not in ACTIVATIONS:
        raise ExportError(
            f"layer '{last.name}': has the activation {activation}: expected one of "
            f"{', '.join(ACTIVATIONS)} at the model's end"
        )
    return node, activation


def fused(layer: Any) -> str:
    """Name of the activation that is part of a layer."""
    activation = getattr(layer, "activation", None) or keras.activations.linear
    return getattr(activation, "__name__", type(activation).__name__)


def _behind(first: Any, nodes: Sequence[Any]) -> list[Any]:
    """A node and all that depends on it, in order."""
    reached = {id(t) for t in first.output_tensors}
    found = [first]
    for node in nodes:
        if node is not first and any(id(t) in reached for t in node.input_tensors):
            reached |= {id(t) for t in node.output_tensors}
            found.append(node)
    return found


def _has_filters(layer: Any) -> bool:
    return type(layer) in (*_CONVOLUTIONS, layers.Dense)


def _check_tail(nodes: Sequence[Any], first: Any) -> None:
    inside = {id(first.input_tensors[0])}
    seen: set[int] = set()
    for node in nodes:
        layer = node.operation
        outside = [t for t in node.input_tensors if id(t) not in inside]
        if outside or len(node.input_tensors) != 1:
            raise ExportError(
                f"layer '{layer.name}', a {type(layer).__name__}: reads "
                f"{len(node.input_tensors)} tensors of the tail or from around it: expected a "
                "chain of layers behind the cut; choose another number of --layers"
            )
        if id(layer) in seen:
            raise ExportError(f"layer '{layer.name}': is used twice in the tail: expected once")
        seen.add(id(layer))
        inside |= {id(t) for t in node.output_tensors}
        _check_layer(layer)


def _check_layer(layer: Any) -> None:
    kind = type(layer)
    known = (*_CONVOLUTIONS, *CHANNELWISE, layers.Dense, layers.Flatten)
    if kind not in (*known, layers.DepthwiseConv2D, layers.BatchNormalization):
        raise ExportError(
            f"layer '{layer.name}': a {kind.__name__} cannot be cut by class: expected "
            "convolutions, pooling, batch normalization, activations, dropout, Flatten and Dense "
            "in the tail; choose a smaller number of --layers, so that it is shared"
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ExportError(f"layer '{layer.name}': is channels_first, expected channels_last")
    if kind is layers.Conv2D and layer.groups != 1:
        raise ExportError(f"layer '{layer.name}': has {layer.groups} groups, expected 1")
    if kind is layers.BatchNormalization and layer.axis not in (-1, len(layer.output.shape) - 1):
        raise ExportError(
            f"layer '{layer.name}': normalizes axis {layer.axis}, expected the last one"
        )
    if kind is layers.Activation and fused(layer) in ("softmax", "log_softmax"):
        raise ExportError(
            f"layer '{layer.name}': a softmax joins all channels, and cannot be cut by class"
        )
