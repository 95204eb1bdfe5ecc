"""Space to batch and back: TensorFlow runs a dilated convolution as a plain one between the two.

Blocks are the phases of a window of the block's size that steps by itself, and stand one behind the
other along the batch. Each of the two operations is the other's adjoint. Written with slices and
concatenations: neither XNNPACK nor the GPU delegate has SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.folding import static_value
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.window import Axis, Window, crop, merge, phases
from tfplus_export.tf_types import Op, Tensor


def _window(op: Op, space: Tensor, batch: Tensor) -> Window:
    """The blocks over an image.

    Args:
      op: either operation; its second input is the size of a block, its third what is padded, or
        cropped, before and behind each axis.
      space: the tensor that the blocks are taken from.
      batch: the tensor that they are laid along the batch of.
    """
    block, edges = static_value(op.inputs[1]), static_value(op.inputs[2])
    if block is None or edges is None:
        raise ExportError("expected sizes and paddings that are known at export")
    if not 1 <= len(block) <= 2:
        raise ExportError(f"expected blocks of one or two axes, got {len(block)}")
    axes = [
        Axis(int(space.shape[i]), int(batch.shape[i]), int(step), int(step), 1, int(before))
        for i, (step, (before, _)) in enumerate(zip(block, edges, strict=True), start=1)
    ]
    return Window(axes[0], axes[1]) if len(axes) == 2 else Window(Axis(1, 1, 1, 1, 1, 0), axes[0])


def _to_batch(x: Tensor, window: Window, shape: Sequence[int]) -> Tensor:
    image = tf.reshape(x, [int(x.shape[0]), window.h.size, window.w.size, -1])
    split = phases(image, window)
    return tf.reshape(tf.concat([split[tap] for tap in window.taps], 0), shape)


def _to_space(x: Tensor, window: Window, shape: Sequence[int]) -> Tensor:
    n, h, w = int(shape[0]), window.h.out, window.w.out
    stacked = tf.reshape(x, [-1, h, w, math.prod(int(d) for d in x.shape[1:]) // (h * w)])
    split = {tap: crop(stacked, 0, i * n, n) for i, tap in enumerate(window.taps)}
    return tf.reshape(merge(split, window), shape)


def _space_to_batch_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    batch = op.outputs[0]
    return _to_batch(inputs[0], _window(op, op.inputs[0], batch), batch.shape)


def _space_to_batch_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    space = op.inputs[0]
    return [_to_space(dy, _window(op, space, output), space.shape), None, None]


def _batch_to_space_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    space = op.outputs[0]
    return _to_space(inputs[0], _window(op, space, op.inputs[0]), space.shape)


def _batch_to_space_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    batch = op.inputs[0]
    return [_to_batch(dy, _window(op, output, batch), batch.shape), None, None]


SPACE_TO_BATCH = Rule(_space_to_batch_forward, _space_to_batch_gradient)
BATCH_TO_SPACE = Rule(_batch_to_space_forward, _batch_to_space_gradient)
