"""ReLU and its kin: linear for positive inputs.

Gradients are taken from the output, so that the input need not be kept, and select by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule, unary
from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.tf_types import Op, Tensor

# Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _relu6_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return dy * positive(y * (6.0 - y))


def _leaky_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.nn.leaky_relu(inputs[0], op.get_attr("alpha"))


def _leaky_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    slope = op.get_attr("alpha")
    # With a slope of zero or less, the output does not tell the input's sign.
    signed = output if slope > 0 else inputs[0]
    return [dy * (positive(tf.nn.relu(signed)) * (1.0 - slope) + slope)]


def _elu_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    # e^x is y + 1 where y is negative.
    return dy * (tf.minimum(y, 0.0) + 1.0)


def _selu_forward(x: Tensor) -> Tensor:
    # TFLite has ELU, not SELU.
    y = tf.nn.elu(x)
    return _SELU_SCALE * (tf.nn.relu(y) + _SELU_ALPHA * tf.minimum(y, 0.0))


def _selu_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    below = tf.minimum(y, 0.0)
    steeper = positive(-below) * (_SELU_SCALE * (_SELU_ALPHA - 1.0))
    return dy * (below + steeper + _SELU_SCALE)


RELU = unary(tf.nn.relu, lambda x, y, dy: dy * positive(y))
RELU6 = unary(tf.nn.relu6, _relu6_gradient)
LEAKY_RELU = Rule(_leaky_forward, _leaky_gradient)
ELU = unary(tf.nn.elu, _elu_gradient)
SELU = unary(_selu_forward, _selu_gradient)
