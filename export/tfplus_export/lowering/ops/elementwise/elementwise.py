"""Arithmetic of two tensors with broadcasting, and the bias."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus_export.lowering.engine.rule import Gradient, Rule, unary
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.lowering.kernels.sums import sum_over
from tfplus_export.tf_types import Op, Tensor


def unbroadcast(gradient: Tensor, shape: Sequence[int]) -> Tensor:
    """Sums a gradient over the axes along which an operand of `shape` was broadcast."""
    extra = len(gradient.shape) - len(shape)
    axes = list(range(extra)) + [
        i + extra for i, d in enumerate(shape) if d == 1 and gradient.shape[i + extra] != 1
    ]
    if axes:
        gradient = sum_over(gradient, axes)
    return gradient if gradient.shape == shape else tf.reshape(gradient, shape)


def _add_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [unbroadcast(dy, t.shape) if w else None for t, w in zip(inputs, wanted, strict=True)]


def _accumulated_add(op: Op, inputs: Sequence[Sequence[Tensor]], dys: Sequence[Tensor]) -> Tensor:
    return unbroadcast(join(dys, 0), inputs[0][1].shape)


def _sub_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    a, b = inputs
    return [
        unbroadcast(dy, a.shape) if wanted[0] else None,
        unbroadcast(-dy, b.shape) if wanted[1] else None,
    ]


def _mul_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    a, b = inputs
    return [
        unbroadcast(dy * b, a.shape) if wanted[0] else None,
        unbroadcast(dy * a, b.shape) if wanted[1] else None,
    ]


def _squared_difference_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    a, b = inputs
    da = (a - b) * dy * 2.0
    return [
        unbroadcast(da, a.shape) if wanted[0] else None,
        unbroadcast(-da, b.shape) if wanted[1] else None,
    ]


def _div_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    a, b = inputs
    da = dy / b
    return [
        unbroadcast(da, a.shape) if wanted[0] else None,
        unbroadcast(-da * output, b.shape) if wanted[1] else None,
    ]


def _choice_gradient(sign: float) -> Gradient:
    """Of the larger (sign 1) or the smaller (−1) of two; the first of equal ones gets it all."""

    def gradient(
        op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        a, b = inputs
        to_second = dy * positive((output - a) * sign)
        return [
            unbroadcast(dy - to_second, a.shape) if wanted[0] else None,
            unbroadcast(to_second, b.shape) if wanted[1] else None,
        ]

    return gradient


def _bias_shape(op: Op, bias: Tensor) -> list[int]:
    # Keras takes an addition along the second axis for a bias with the channels first.
    first = op.get_attr("data_format") == b"NCHW"
    return [int(bias.shape[0]), *[1] * (len(op.outputs[0].shape) - 2 if first else 0)]


def _bias_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0] + tf.reshape(inputs[1], _bias_shape(op, inputs[1]))


def _bias_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    bias = _accumulated_bias(op, [inputs], [dy]) if wanted[1] else None
    return [dy if wanted[0] else None, bias]


def _accumulated_bias(op: Op, inputs: Sequence[Sequence[Tensor]], dys: Sequence[Tensor]) -> Tensor:
    bias = inputs[0][1]
    every = join(dys, 0)
    return tf.reshape(unbroadcast(every, _bias_shape(op, bias)), bias.shape)


ADD = Rule(lambda op, inputs: inputs[0] + inputs[1], _add_gradient, accumulate=_accumulated_add)
SUB = Rule(lambda op, inputs: inputs[0] - inputs[1], _sub_gradient)
MUL = Rule(lambda op, inputs: inputs[0] * inputs[1], _mul_gradient)
BIAS_ADD = Rule(_bias_forward, _bias_gradient, accumulate=_accumulated_bias)
DIV = Rule(lambda op, inputs: inputs[0] / inputs[1], _div_gradient)
NEG = unary(lambda x: -x, lambda x, y, dy: -dy)
MAXIMUM = Rule(lambda op, inputs: tf.maximum(inputs[0], inputs[1]), _choice_gradient(1.0))
MINIMUM = Rule(lambda op, inputs: tf.minimum(inputs[0], inputs[1]), _choice_gradient(-1.0))
SQUARED_DIFFERENCE = Rule(
    lambda op, inputs: tf.math.squared_difference(inputs[0], inputs[1]),
    _squared_difference_gradient,
)
