"""The part of a model that is cut into branches: its last convolutions and all that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from tfplus.decoupling.plan import ACTIVATIONS
from tfplus.errors import ExportError, UsageError
from tfplus_export.decoupling.structure import channels, kinds
from tfplus_export.decoupling.structure.channels import Channels
from tfplus_export.decoupling.structure.flat import flat
from tfplus_export.decoupling.structure.kinds import CONVOLUTIONS, NONLINEAR, NORMALIZATIONS, fused

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
      channels: which filters the channels of its tensors come from.
      classes: how many logits.
      activation: behind the logits, one of `ACTIVATIONS`.
      output: name of the layer that gives the model's output.
    """

    model: keras.Model
    nodes: tuple[Any, ...]
    head: Any
    cut: Any
    decoupled: tuple[str, ...]
    channels: Channels
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
        """The normalization that alone reads what a layer's filters make; None if there is none."""
        if fused(self.layer(name)) != "linear":
            return None
        readers = self._readers(self.made(name))
        is_one = len(readers) == 1 and isinstance(readers[0].operation, NORMALIZATIONS)
        return readers[0].operation if is_one else None

    def measured(self, name: str) -> str:
        """Name of the layer whose output's mean and deviation stand for those of a layer's filters.

        A group normalization takes both away and puts its own there; else it is the layer itself.
        """
        behind = self.normalization(name)
        return behind.name if isinstance(behind, layers.GroupNormalization) else name

    def activated(self, name: str) -> Any:
        """What a layer's filters answer with: their output behind normalization and activation.

        Where a sum joins them with those of other layers, it is the last sum's output.
        """
        joined = self.channels.sum_of(name)
        if joined is None and fused(self.layer(name)) != "linear":
            return self.made(name)
        tensor = self.made(name) if joined is None else joined.output_tensors[0]
        while True:
            readers = self._readers(tensor)
            passes = (*NORMALIZATIONS, *NONLINEAR)
            if len(readers) != 1 or not isinstance(readers[0].operation, passes):
                return tensor
            tensor = readers[0].output_tensors[0]
            if isinstance(readers[0].operation, NONLINEAR):
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
    functional: Any = flat(model)
    nodes = _ordered(functional)
    _check_names(functional)
    head, activation = _head(functional, nodes)
    found = [n for n in nodes if type(n.operation) in CONVOLUTIONS]
    if not found:
        raise ExportError(
            f"model '{model.name}': has no convolutional tail: none of its layers is a Conv2D or "
            "SeparableConv2D: expected convolutions in front of the classifier"
        )
    if not 1 <= convolutions <= len(found):
        raise UsageError(
            f"--layers {convolutions}: the model has {len(found)} convolutions: expected 1 to "
            f"{len(found)}"
        )
    try:
        tail, origins = _cut(found[-convolutions], nodes, head)
    except ExportError as error:
        near = _nearest(convolutions, found, nodes, head)
        advice = "no other number works" if near is None else f"the nearest that works is {near}"
        raise ExportError(f"{error}; --layers {convolutions} cuts there: {advice}") from None
    return Tail(
        functional,
        tuple(tail),
        head,
        found[-convolutions].input_tensors[0],
        tuple(n.operation.name for n in tail if kinds.has_filters(n.operation)),
        origins,
        int(model.outputs[0].shape[-1]),
        activation,
        nodes[-1].operation.name,
    )


def _cut(first: Any, nodes: Sequence[Any], head: Any) -> tuple[list[Any], Channels]:
    """The nodes behind the tensor that a convolution reads, and where their channels come from."""
    cut = first.input_tensors[0]
    behind = _behind(cut, nodes)
    tail = behind[: behind.index(head)]
    _check_tail(tail, cut)
    return tail, channels.trace(tail, cut)


def _nearest(wanted: int, found: Sequence[Any], nodes: Sequence[Any], head: Any) -> int | None:
    """The number of convolutions next to the wanted one behind which the model can be cut."""
    for count in sorted(range(1, len(found) + 1), key=lambda n: (abs(n - wanted), n)):
        try:
            _cut(found[-count], nodes, head)
        except ExportError:
            continue
        return count
    return None


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


def _behind(cut: Any, nodes: Sequence[Any]) -> list[Any]:
    """All nodes that depend on a tensor, in order."""
    reached = {id(cut)}
    found: list[Any] = []
    for node in nodes:
        if any(id(t) in reached for t in node.input_tensors):
            reached |= {id(t) for t in node.output_tensors}
            found.append(node)
    return found


def _check_tail(nodes: Sequence[Any], cut: Any) -> None:
    inside = {id(cut)}
    seen: set[int] = set()
    for node in nodes:
        layer = node.operation
        around = [t for t in node.input_tensors if id(t) not in inside]
        if around:
            raise ExportError(
                f"layer '{layer.name}', a {type(layer).__name__}: reads the output of "
                f"'{around[0]._keras_history.operation.name}', which goes around the cut: expected "
                "one tensor that everything behind the cut is made of"
            )
        if id(layer) in seen:
            raise ExportError(f"layer '{layer.name}': is used twice in the tail: expected once")
        seen.add(id(layer))
        inside |= {id(t) for t in node.output_tensors}
        kinds.check(layer, node.input_tensors)
