"""Takes what multiplies and shifts the channels of a product into its filter and one bias.

In inference batch normalization is y = x·a + b with a and b known from the weights. Behind a
convolution, x·a is a convolution whose filter is multiplied by a, and all the sums are one. Before
a matrix product, (x·a + b)·W is x·(a·W) + b·W. TFLite's converter does the same with numbers that
it has; here they come later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from tfplus_export.tf_types import Op, Tensor

_SUMS = frozenset({"Add", "AddV2", "BiasAdd", "Sub"})


def _of_convolution(op: Op, weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale


def _of_depthwise(op: Op, weight: Tensor, scale: Tensor) -> Tensor:
    return weight * tf.reshape(scale, weight.shape[2:])


def _of_product(op: Op, weight: Tensor, scale: Tensor) -> Tensor:
    return weight * (scale[:, None] if op.get_attr("transpose_b") else scale)


# Operation → its filter with each channel of the output multiplied by a scale, [channels].
_SCALED: Mapping[str, Callable[[Op, Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "Conv2D": _of_convolution,
        "DepthwiseConv2dNative": _of_depthwise,
        "MatMul": _of_product,
    }
)


def fold(graph: Any, weights: Collection[Tensor]) -> None:
    """Rewrites every product of a graph that multiplications and sums of its channels stand beside.

    Args:
      graph: whose operations are added to and reconnected; its outputs are operations of their own,
        such as Identity.
      weights: the tensors that are known later.
    """
    for rewrite in (_fold_before, _fold_behind):
        fixed = fixed_operations(graph, weights)
        for op in list(graph.get_operations()):
            if op.type in _SCALED and op.inputs[1].op.name in fixed and op.name not in fixed:
                with graph.as_default():
                    rewrite(op, fixed)


def fixed_operations(graph: Any, weights: Collection[Tensor]) -> set[str]:
    """Names of the operations that depend on nothing but weights and constants."""
    fixed = {t.op.name for t in weights}
    for op in inputs_first(graph):
        if op.type == "Const" or (op.inputs and all(t.op.name in fixed for t in op.inputs)):
            fixed.add(op.name)
    return fixed


def inputs_first(graph: Any) -> list[Op]:
    """All operations, each behind those whose outputs it takes."""
    placed: dict[str, Op] = {}
    for first in graph.get_operations():
        pending = [first]
        while pending:
            missing = [t.op for t in pending[-1].inputs if t.op.name not in placed]
            if missing:
                pending.extend(missing)
            else:
                done = pending.pop()
                placed.setdefault(done.name, done)
    return list(placed.values())


def _fold_before(op: Op, fixed: Collection[str]) -> None:
    if op.type != "MatMul" or op.get_attr("transpose_a"):
        return
    given, weight = op.inputs
    features = int(given.shape[-1])
    transposed = op.get_attr("transpose_b")
    shift: Tensor = None
    first = given
    changed = False
    while first.op.type in ("Mul", "Reshape") or first.op.type in _SUMS:
        left, right = first.op.inputs
        if first.op.type == "Reshape":
            if list(left.shape[-1:]) != [features]:
                break
            first = left
            continue
        before = right if left.op.name in fixed else left
        other = _other(first.op, before, fixed, features)
        if other is None:
            break
        changed = True
        if first.op.type == "Mul":
            weight = weight * (other if transposed else other[:, None])
        else:
            row = (-other if first.op.type == "Sub" else other)[None]
            term = tf.matmul(row, weight, transpose_b=transposed)[0]
            shift = term if shift is None else shift + term
        first = before
    if not changed:
        return
    if first.shape != given.shape:
        first = tf.reshape(first, given.shape)
    product = tf.matmul(first, weight, transpose_b=transposed)
    _reconnect(op.outputs[0], product if shift is None else product + shift)


def _fold_behind(op: Op, fixed: Collection[str]) -> None:
    channels = int(op.outputs[0].shape[-1])
    scale: Tensor = None
    shifts: list[Tensor] = []
    last = op.outputs[0]
    while len(last.consumers()) == 1:
        after = last.consumers()[0]
        if after.type == "Reshape" and last is after.inputs[0]:
            if list(after.outputs[0].shape[-1:]) != [channels]:
                break
            last = after.outputs[0]
            continue
        other = _other(after, last, fixed, channels)
        if other is None:
            break
        if after.type == "Mul":
            scale = other if scale is None else scale * other
            shifts = [shift * other for shift in shifts]
        else:
            shifts.append(-other if after.type == "Sub" else other)
        last = after.outputs[0]
    if scale is None and len(shifts) < 2:
        return
    filter_ = op.inputs[1] if scale is None else _SCALED[op.type](op, op.inputs[1], scale)
    attributes = {name: op.node_def.attr[name] for name in op.node_def.attr}
    copied = op.graph.create_op(
        op.type, [op.inputs[0], filter_], [op.outputs[0].dtype], attrs=attributes
    )
    result = copied.outputs[0] + sum(shifts[1:], shifts[0]) if shifts else copied.outputs[0]
    _reconnect(last, result if result.shape == last.shape else tf.reshape(result, last.shape))


def _reconnect(old: Tensor, new: Tensor) -> None:
    for consumer in old.consumers():
        for index, tensor in enumerate(consumer.inputs):
            if tensor is old:
                consumer._update_input(index, new)


def _other(op: Op, last: Tensor, fixed: Collection[str], channels: int) -> Tensor | None:
    """The operand, [channels], that is not `last`, where it is known from the weights."""
    if op.type != "Mul" and op.type not in _SUMS:
        return None
    left, right = op.inputs
    if right is last and op.type == "Sub":
        return None
    other = right if left is last else left
    shape = [int(d) for d in other.shape]
    if other.op.name not in fixed or shape[:-1] != [1] * (len(shape) - 1):
        return None
    # One number for all channels, or one for each.
    if shape[-1:] not in ([], [1], [channels]) or op.outputs[0].shape != last.shape:
        return None
    return tf.broadcast_to(tf.reshape(other, shape[-1:]), [channels])
