"""Conv2DTranspose and Conv1DTranspose: the input gradient of a convolution, run forward.

So its own gradients are a convolution, with respect to its input, and the filter gradient of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.window import Window, window_of
from tfplus_export.lowering.ops.convolution.conv2d import (
    convolution,
    filter_gradient,
    input_gradient,
)
from tfplus_export.tf_types import Op, Tensor


def _window(op: Op) -> Window:
    """Of the convolution from the operation's output to its input."""
    return window_of(op, op.inputs[1].shape[:2], op.outputs[0].shape, op.inputs[2].shape)


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    _, weight, x = inputs
    return input_gradient(x, weight, _window(op), 1)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    _, weight, x = inputs
    window = _window(op)
    dw = filter_gradient(dy, x, window, 1) if wanted[1] else None
    return [
        None,
        None if dw is None else tf.reshape(dw, weight.shape),
        convolution(dy, weight, window, 1) if wanted[2] else None,
    ]


CONV2D_TRANSPOSE = Rule(_forward, _gradient)
