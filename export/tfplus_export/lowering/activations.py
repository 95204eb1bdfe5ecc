"""ReLU and softmax."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus_export.lowering.masks import positive
from tfplus_export.lowering.rule import Rule
from tfplus_export.tf_types import Op, Tensor


def _relu_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    # From the output, so that the input need not be kept.
    return [dy * positive(output)]


def _softmax_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [output * (dy - tf.reduce_sum(dy * output, -1, keepdims=True))]


RELU = Rule(lambda op, inputs: tf.nn.relu(inputs[0]), _relu_gradient)
SOFTMAX = Rule(lambda op, inputs: tf.nn.softmax(inputs[0]), _softmax_gradient)
