"""Tensors of a traced graph whose values are known at export, such as a causal mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from tfplus_export.tf_types import Op, Tensor

# A larger mask is computed on the device rather than stored in the file.
MOST_ELEMENTS = 1 << 22

# Graph → what was folded in it: name of a tensor → value.
_FOLDED: WeakKeyDictionary[Any, dict[str, np.ndarray]] = WeakKeyDictionary()


def static_value(tensor: Tensor) -> Any:
    """The tensor's value as an array where it does not depend on data, else None."""
    if tf.is_symbolic_tensor(tensor):
        folded = _FOLDED.get(tensor.graph, {}).get(tensor.name)
        if folded is not None:
            return folded
    return tf.get_static_value(tensor)


def fold(graph: Any, operations: Sequence[Op]) -> dict[str, np.ndarray]:
    """Computes what depends neither on data nor on weights, where TensorFlow has not done so.

    Args:
      graph: the graph that was traced.
      operations: those of its operations that are needed, inputs first.

    Returns:
      name of a tensor → value, for what operations that do depend on data take.
    """
    known: set[str] = set()
    static: dict[str, Any] = {}
    folded: dict[str, Tensor] = {}
    for op in operations:
        values = [tf.get_static_value(t) for t in op.outputs]
        if values and all(v is not None for v in values):
            known.add(op.name)
            pairs = zip(op.outputs, values, strict=True)
            static.update({t.name: v for t, v in pairs if graph.is_feedable(t)})
        elif _foldable(op) and all(t.op.name in known for t in op.inputs):
            known.add(op.name)
            folded.update({t.name: t for t in op.outputs})
    used = {t.name for op in operations if op.name not in known for t in op.inputs}
    wanted = {name: tensor for name, tensor in folded.items() if name in used}
    if not wanted:
        return {}
    with tf.compat.v1.Session(graph=graph) as session:
        # What is static may come from data all the same, as their shape does.
        values: Any = session.run(wanted, static)
    _FOLDED[graph] = values
    return values


def _foldable(op: Op) -> bool:
    shapes = [t.shape for t in op.outputs]
    return (
        bool(op.outputs)
        and op.type != "Placeholder"
        and not op.op_def.is_stateful
        and all(s.is_fully_defined() and s.num_elements() <= MOST_ELEMENTS for s in shapes)
    )
