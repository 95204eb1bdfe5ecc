"""The forward pass as a list of TensorFlow operations, each known by its Keras layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfplus_export.tf_types import Op, Tensor

# Operations that only pass a value on.
PASS_THROUGH = frozenset({"Identity", "Snapshot"})


@dataclass(frozen=True)
class Graph:
    """A Keras model's forward pass, traced with a fixed batch.

    Attributes:
      x: the input placeholder, [batch, ...].
      output: the tensor that the model returns.
      operations: every operation that `output` depends on, inputs before users.
      variables: name of a captured handle placeholder → index into `model.variables`.
      layers: names of all layers of the model, nested ones included.
    """

    x: Tensor
    output: Tensor
    operations: tuple[Op, ...]
    variables: dict[str, int]
    layers: frozenset[str]

    def layer_of(self, op: Op) -> str:
        """The Keras layer that made the operation, or the operation's own name."""
        for part in reversed(op.name.split("/")):
            if part in self.layers:
                return part
        return op.name


def trace(model: keras.Model, batch_size: int, *, training: bool) -> Graph:
    """Traces `model(x, training=training)` for one batch of fixed size.

    Args:
      model: built, with one input and one output.
      batch_size: leading dimension of the input.
      training: passed to the model.
    """
    spec = tf.TensorSpec([batch_size, *model.input_shape[1:]], tf.float32, name="x")
    function = tf.function(lambda x: model(x, training=training), autograph=False)
    concrete = function.get_concrete_function(spec)
    by_handle = {id(v.value.handle): i for i, v in enumerate(model.variables)}
    variables = {
        internal.op.name: by_handle[id(external)]
        for external, internal in concrete.graph.captures
        if id(external) in by_handle
    }
    output = concrete.outputs[0]
    return Graph(
        x=concrete.inputs[0],
        output=output,
        operations=_ancestors(output),
        variables=variables,
        layers=_layer_names(model),
    )


def static_value(tensor: Tensor) -> Any:
    """The tensor's value as an array where it does not depend on data, else None."""
    return tf.get_static_value(tensor)


def _layer_names(layer: Any) -> frozenset[str]:
    """Names of all layers, those of nested models included."""
    inner: list[Any] = getattr(layer, "layers", [])
    return frozenset(child.name for child in inner).union(*(_layer_names(c) for c in inner))


def _ancestors(output: Tensor) -> tuple[Op, ...]:
    needed: set[str] = set()
    pending = [output.op]
    while pending:
        op = pending.pop()
        if op.name not in needed:
            needed.add(op.name)
            pending.extend(t.op for t in op.inputs)
    # A graph lists its operations in the order in which they were made: inputs come first.
    return tuple(op for op in output.graph.get_operations() if op.name in needed)
