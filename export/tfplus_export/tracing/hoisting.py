"""Work that is the same in every step of an unrolled layer, done once.

Each step of a recurrent layer reads its weights anew, and multiplies its own input with them. Here
what is computed of weights alone becomes one operation, and the products of all time steps with one
weight become a single product of the whole sequence, whose gradients are single products, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfplus_export.tf_types import Op, Tensor


def merge_weights(operations: Sequence[Op], written: Collection[str]) -> set[str]:
    """Makes one operation of equal ones that depend on weights and constants alone.

    Args:
      operations: of a traced graph, inputs first; the graph is changed.
      written: names of the placeholders of variables that the pass assigns; reads of those differ.

    Returns:
      Names of the operations that depend on weights and constants alone.
    """
    known: set[str] = set()
    first: dict[tuple[Any, ...], Op] = {}
    for op in operations:
        if op.type == "Placeholder":
            if op.outputs[0].dtype == tf.resource and op.name not in written:
                known.add(op.name)
            continue
        repeatable = op.type == "ReadVariableOp" or not op.op_def.is_stateful
        if not repeatable or not all(t.op.name in known for t in op.inputs):
            continue
        known.add(op.name)
        earlier = first.setdefault(_identity(op), op)
        if earlier is not op:
            for old, new in zip(op.outputs, earlier.outputs, strict=True):
                _replace(old, new)
    return known


def hoist_products(
    graph: Any, operations: Sequence[Op], weights: Collection[str], owners: Mapping[str, str]
) -> dict[str, str]:
    """Makes one product of those of all time steps of a sequence with the same weight.

    Args:
      graph: that was traced; it is changed.
      operations: its operations, inputs first.
      weights: names of those that depend on weights alone.
      owners: name of an operation → name of the layer that made it.

    Returns:
      The same for the operations that were added.
    """
    groups: dict[tuple[str, str, bool], dict[int, Op]] = defaultdict(dict)
    for op in operations:
        if op.type != "MatMul" or op.get_attr("transpose_a"):
            continue
        left, right = op.inputs
        step = _time_step(left)
        if step is not None and right.op.name in weights:
            key = (step[0].name, right.name, op.get_attr("transpose_b"))
            groups[key][step[1]] = op
    added: dict[str, str] = {}
    for (_, _, transposed), group in groups.items():
        some = next(iter(group.values()))
        sequence, _ = _time_step(some.inputs[0]) or (None, None)
        if sequence is None or len(group) != sequence.shape[0]:
            continue
        before = len(graph.get_operations())
        with graph.as_default():
            steps, batch, features = sequence.shape
            rows = tf.reshape(sequence, [steps * batch, features])
            product = tf.matmul(rows, some.inputs[1], transpose_b=transposed)
            parts = tf.unstack(tf.reshape(product, [steps, batch, product.shape[1]]))
        for index, op in group.items():
            _replace(op.outputs[0], parts[index])
        for op in graph.get_operations()[before:]:
            added[op.name] = owners.get(some.name, some.name)
    return added


def _time_step(tensor: Tensor) -> tuple[Tensor, int] | None:
    """The sequence [time, batch, features] that a tensor is one time step of, and which."""
    op = tensor.op
    if op.type == "Unpack" and op.get_attr("axis") == 0 and len(op.inputs[0].shape) == 3:
        return op.inputs[0], tensor.value_index
    return None


def _identity(op: Op) -> tuple[Any, ...]:
    attributes = op.node_def.attr
    described = sorted((k, attributes[k].SerializeToString(deterministic=True)) for k in attributes)
    return (op.type, tuple(described), tuple(t.name for t in op.inputs))


def _replace(old: Tensor, new: Tensor) -> None:
    for consumer in old.consumers():
        for index, tensor in enumerate(consumer.inputs):
            if tensor is old:
                consumer._update_input(index, new)
