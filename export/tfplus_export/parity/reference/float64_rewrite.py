"""A traced function computed in double precision: TensorFlow's own graph, every float a double.

Rounding in float32 may move a deep net's gradients by per cents. In double precision it does not,
and what is right and what is wrong can be told apart again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus_export.tf_types import Op
from tfplus_export.tracing.graph import Graph

_FLOAT, _DOUBLE = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
# No folding of constants either (`OptimizerOptions.L0`).
_AS_IT_IS = -1
_READ = "ReadVariableOp"

# From a number to another one in its place.
Nudge = Callable[[np.ndarray], np.ndarray]


def unchanged(value: np.ndarray) -> np.ndarray:
    """An array as it is."""
    return value


def last_bit(seed: int) -> Nudge:
    """Makes each float64 its neighbour above or below, or leaves it, at random.

    Args:
      seed: of the choice.
    """
    rng = np.random.default_rng(seed)

    def nudged(value: np.ndarray) -> np.ndarray:
        if value.dtype != np.float64:
            return value
        # Zero stays: what is masked or switched off shall not come on.
        return value + np.spacing(value) * rng.integers(-1, 2, value.shape) * (value != 0)

    return nudged


class NoFloat64Error(Exception):
    """TensorFlow cannot compute this graph in double precision."""


class Float64Function:
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
        # What a read reads comes from outside.
        needed = _needed([t.op for t in function.outputs], lambda op: op.type == _READ)
        self._reads: dict[str, Any] = {
            f"{op.name}:0": variables[op.inputs[0].op.name]
            for op in needed.values()
            if op.type == _READ
        }
        self._session = _imported(function.graph, [_node_in_float64(op) for op in needed.values()])

    def __call__(self, inputs: Sequence[np.ndarray], nudge: Nudge = unchanged) -> list[np.ndarray]:
        """Computes the outputs, floats as float64, for inputs and for the variables as they are.

        Args:
          inputs: in the function's order, floats of either precision.
          nudge: what becomes of every float that goes in.

        Raises:
          NoFloat64Error: an operation has no kernel for double precision.
        """
        fed = dict(zip(self._inputs, inputs, strict=True))
        fed |= {name: np.asarray(v.read_value()) for name, v in self._reads.items()}
        known = {t.name for op in self._session.graph.get_operations() for t in op.outputs}
        fed = {name: nudge(as_float64(value)) for name, value in fed.items() if name in known}
        return run(self._session, self._outputs, fed)


def constants(graph: Graph) -> dict[str, np.ndarray]:
    """What was folded in a traced pass, computed in double precision instead of rounded to it.

    Behind a Rescaling by a constant that was rounded, a deep net with batch statistics is another
    net, whose gradients differ in the fifth digit.

    Raises:
      NoFloat64Error: an operation knows float32 alone.
    """
    floats = [n for n, value in graph.constants.items() if value.dtype == np.float32]
    if not floats:
        return graph.constants
    source: Any = graph.operations[0].graph
    needed = _needed([source.get_tensor_by_name(name).op for name in floats], _is_static)
    nodes = [_constant(op) if _is_static(op) else _node_in_float64(op) for op in needed.values()]
    values = run(_imported(source, nodes), floats, {})
    return graph.constants | dict(zip(floats, values, strict=True))


def as_float64(value: np.ndarray) -> np.ndarray:
    """A float array in double precision; any other as it is."""
    floats = np.issubdtype(value.dtype, np.floating)
    return value.astype(np.float64) if floats else value


def _needed(operations: Sequence[Op], given: Callable[[Op], bool]) -> dict[str, Op]:
    """Operations by name, and all that they depend on up to those that are given."""
    found: dict[str, Op] = {}
    pending = list(operations)
    while pending:
        op = pending.pop()
        if op.name not in found:
            found[op.name] = op
            pending.extend(() if given(op) else (t.op for t in op.inputs))
    return found


def _is_static(op: Op) -> bool:
    return len(op.outputs) == 1 and tf.get_static_value(op.outputs[0]) is not None


def _imported(source: Any, nodes: Sequence[Any]) -> Any:
    definition = tf.compat.v1.GraphDef(versions=source.as_graph_def().versions)
    definition.node.extend(nodes)
    graph: Any = tf.Graph()
    try:
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    except (ValueError, tf.errors.OpError) as error:
        raise NoFloat64Error(str(error)) from error
    return plain_session(graph)


def plain_session(graph: Any) -> Any:
    """A session that runs a graph as it is: few runs do not pay for making it faster."""
    options = tf.compat.v1.ConfigProto()
    options.graph_options.rewrite_options.disable_meta_optimizer = True
    options.graph_options.optimizer_options.opt_level = _AS_IT_IS
    return tf.compat.v1.Session(graph=graph, config=options)


def run(session: Any, names: Sequence[str], fed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The values of tensors.

    Args:
      session: see `plain_session`.
      names: of the tensors.
      fed: name of a tensor → its value.

    Raises:
      NoFloat64Error: an operation has no kernel for double precision.
    """
    try:
        return list(session.run(names, fed))
    except tf.errors.OpError as error:
        raise NoFloat64Error(error.message) from error


def _constant(op: Op) -> Any:
    value = as_float64(np.asarray(tf.get_static_value(op.outputs[0])))
    node: Any = type(op.node_def)(name=op.name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    return node


def _node_in_float64(op: Op) -> Any:
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
            raise NoFloat64Error(f"operation {op.type} calls a function")
        if attribute.type == _FLOAT:
            attribute.type = _DOUBLE
        for place, kind in enumerate(attribute.list.type):
            attribute.list.type[place] = _DOUBLE if kind == _FLOAT else kind
        if attribute.HasField("tensor") and attribute.tensor.dtype == _FLOAT:
            value = tf.make_ndarray(attribute.tensor).astype(np.float64)
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
    return node
