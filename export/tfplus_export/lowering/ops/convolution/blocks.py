"""Space to batch and back: TensorFlow runs a dilated convolution as a plain one between the two.

Each is the other's adjoint. The builtin operators are the fastest on a CPU, and the GPU delegate
has none: there, blocks are the phases of a window of the block's size that steps by itself, written
with slices and concatenations, and stand one behind the other along the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import KernelVariants, Rule
from tfplus_export.lowering.kernels.window import Axis, Window, crop, merge, phases
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def _window(op: Op, space: Tensor, batch: Tensor) -> Window:
    """The blocks over an image.

    Args:
      op: either operation; its second input is the size of a block, its third what is padded, or
        cropped, before and behind each axis.
      space: the tensor that the blocks are taken from.
      batch: the tensor that they are laid along the batch of.
    """
    block, edges = _static(op)
    if not 1 <= len(block) <= 2:
        raise ExportError(f"expected blocks of one or two axes, got {len(block)}")
    axes = [
        Axis(int(space.shape[i]), int(batch.shape[i]), int(step), int(step), 1, int(before))
        for i, (step, (before, _)) in enumerate(zip(block, edges, strict=True), start=1)
    ]
    return Window(axes[0], axes[1]) if len(axes) == 2 else Window(Axis(1, 1, 1, 1, 1, 0), axes[0])


def _to_batch(op: Op, x: Tensor, space: Tensor, batch: Tensor) -> Tensor:
    window = _window(op, space, batch)
    image = tf.reshape(x, [int(x.shape[0]), window.h.size, window.w.size, -1])
    split = phases(image, window)
    return tf.reshape(tf.concat([split[tap] for tap in window.taps], 0), batch.shape)


def _to_space(op: Op, x: Tensor, space: Tensor, batch: Tensor) -> Tensor:
    window = _window(op, space, batch)
    n, h, w = int(space.shape[0]), window.h.out, window.w.out
    stacked = tf.reshape(x, [n * len(window.taps), h, w, -1])
    split = {tap: crop(stacked, 0, i * n, n) for i, tap in enumerate(window.taps)}
    return tf.reshape(merge(split, window), space.shape)


def _static(op: Op) -> tuple[np.ndarray, np.ndarray]:
    block, edges = static_value(op.inputs[1]), static_value(op.inputs[2])
    if block is None or edges is None:
        raise ExportError("expected sizes and paddings that are known at export")
    return block, edges


def _builtin_to_batch(op: Op, x: Tensor) -> Tensor:
    return tf.space_to_batch_nd(x, *_static(op))


def _builtin_to_space(op: Op, x: Tensor) -> Tensor:
    return tf.batch_to_space(x, *_static(op))


def _rule(there: Callable[[Op, Tensor], Tensor], back: Callable[[Op, Tensor], Tensor]) -> Rule:
    return Rule(
        lambda op, inputs: there(op, inputs[0]),
        lambda op, inputs, output, dy, wanted: [back(op, dy), None, None],
    )


def _order(op: Op) -> Sequence[str]:
    return ("builtin",)


SPACE_TO_BATCH = KernelVariants(
    {
        "builtin": _rule(_builtin_to_batch, _builtin_to_space),
        "slices": _rule(
            lambda op, x: _to_batch(op, x, op.inputs[0], op.outputs[0]),
            lambda op, x: _to_space(op, x, op.inputs[0], op.outputs[0]),
        ),
    },
    _order,
)
BATCH_TO_SPACE = KernelVariants(
    {
        "builtin": _rule(_builtin_to_space, _builtin_to_batch),
        "slices": _rule(
            lambda op, x: _to_space(op, x, op.outputs[0], op.inputs[0]),
            lambda op, x: _to_batch(op, x, op.outputs[0], op.inputs[0]),
        ),
    },
    _order,
)
