"""Powers, roots, exponentials and logarithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule, unary
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value

# Up to here a power is a chain of products: POW is slow and no operator of XNNPACK.
_MOST_PRODUCTS = 4


def _exponent(op: Op) -> float:
    value = static_value(op.inputs[1])
    if value is None or np.size(value) != 1:
        raise ExportError("expected one exponent that is known at export")
    return float(np.reshape(value, ()))


def _power(x: Tensor, exponent: float) -> Tensor:
    if exponent not in range(1, _MOST_PRODUCTS + 1):
        return tf.pow(x, exponent)
    result = x
    for _ in range(int(exponent) - 1):
        result = result * x
    return result


def _power_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return _power(inputs[0], _exponent(op))


def _power_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    exponent = _exponent(op)
    return [dy * (_power(inputs[0], exponent - 1.0) * exponent), None]


POW = Rule(_power_forward, _power_gradient)
SQUARE = unary(lambda x: x * x, lambda x, y, dy: dy * x * 2.0)
SQRT = unary(tf.sqrt, lambda x, y, dy: dy / y * 0.5)
RSQRT = unary(tf.math.rsqrt, lambda x, y, dy: y * y * y * dy * -0.5)
EXP = unary(tf.exp, lambda x, y, dy: dy * y)
# e^x − 1 in two operations is off by one rounding of e^x, at most 6e-8 for negative x.
EXPM1 = unary(lambda x: tf.exp(x) - 1.0, lambda x, y, dy: dy * (y + 1.0))
LOG = unary(tf.math.log, lambda x, y, dy: dy / x)
# TFLite has no LOG1P; 1 + x rounds to within 6e-8, which bounds the error.
LOG1P = unary(lambda x: tf.math.log(x + 1.0), lambda x, y, dy: dy / (x + 1.0))
RECIPROCAL = unary(lambda x: 1.0 / x, lambda x, y, dy: -dy * y * y)
