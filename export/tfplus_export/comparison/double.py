"""A traced function computed in double precision: TensorFlow's own graph, every float a double.

Rounding in float32 may move a deep net's gradients by per cents. In double precision it does not,
and what is right and what is wrong can be told apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus_export.tf_types import Op

_FLOAT, _DOUBLE = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
_READ = "ReadVariableOp"


class NoDoubleError(Exception):
    """TensorFlow cannot compute this graph in double precision."""


class Doubled:
    """A function without effects: what it assigns to variables is not assigned.

    Args:
      function: a concrete `tf.function`, of tensors and of variables that it reads.
    """

    def __init__(self, function: Any) -> None:
        self._outputs: list[str] = [t.name for t in function.outputs]
        captured = {id(outer): inner.op.name for outer, inner in function.graph.captures}
        self._inputs: list[str] = [
            t.name for t in function.inputs if t.op.name not in captured.values()
        ]
        variables = {captured[id(v.handle)]: v for v in function.variables}
        needed = _needed([t.op for t in function.outputs])
        self._reads: dict[str, Any] = {
            f"{op.name}:0": variables[op.inputs[0].op.name]
            for op in needed.values()
            if op.type == _READ
        }
        definition = tf.compat.v1.GraphDef(versions=function.graph.as_graph_def().versions)
        definition.node.extend(_doubled(op) for op in needed.values())
        self._graph: Any = tf.Graph()
        try:
            with self._graph.as_default():
                tf.import_graph_def(definition, name="")
        except (ValueError, tf.errors.OpError) as error:
            raise NoDoubleError(str(error)) from error

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Computes the outputs, floats as float64, for inputs and for the variables as they are.

        Args:
          inputs: in the function's order, floats of either precision.

        Raises:
          NoDoubleError: an operation has no kernel for double precision.
        """
        fed = dict(zip(self._inputs, inputs, strict=True))
        fed |= {name: np.asarray(v.read_value()) for name, v in self._reads.items()}
        known = {t.name for op in self._graph.get_operations() for t in op.outputs}
        fed = {name: doubled(value) for name, value in fed.items() if name in known}
        with tf.compat.v1.Session(graph=self._graph) as session:
            try:
                return list(session.run(self._outputs, fed))
            except tf.errors.OpError as error:
                raise NoDoubleError(error.message) from error


def doubled(value: np.ndarray) -> np.ndarray:
    """A float array in double precision; any other as it is."""
    floats = np.issubdtype(value.dtype, np.floating)
    return value.astype(np.float64) if floats else value


def _needed(operations: Sequence[Op]) -> dict[str, Op]:
    found: dict[str, Op] = {}
    pending = list(operations)
    while pending:
        op = pending.pop()
        if op.name not in found:
            found[op.name] = op
            # What a read reads comes from outside.
            pending.extend(() if op.type == _READ else (t.op for t in op.inputs))
    return found


def _doubled(op: Op) -> Any:
    node: Any = type(op.node_def)()
    node.CopyFrom(op.node_def)
    if node.op == _READ:
        kept = node.attr["dtype"].type
        node.op = "Placeholder"
        node.attr.clear()
        node.attr["dtype"].type = kept
        del node.input[:]
    data = [name for name in node.input if not name.startswith("^")]
    del node.input[:]
    node.input.extend(data)
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            raise NoDoubleError(f"operation {op.type} calls a function")
        if attribute.type == _FLOAT:
            attribute.type = _DOUBLE
        for place, kind in enumerate(attribute.list.type):
            attribute.list.type[place] = _DOUBLE if kind == _FLOAT else kind
        if attribute.HasField("tensor") and attribute.tensor.dtype == _FLOAT:
            value = tf.make_ndarray(attribute.tensor).astype(np.float64)
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
