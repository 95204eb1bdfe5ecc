"""Max and average pooling over windows.

The gradient of max pooling goes to the first maximum of each window in row-major order, as
TensorFlow's does. It compares every tap with the pooled value in at most 4 dimensions: the 6-D form
is computed wrongly by runtimes without XNNPACK and aborts tflite-runtime 2.14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.lowering.kernels.window import Tap, Window, gather, phases, scatter, window_of
from tfplus_export.tf_types import Op, Tensor


def _window(op: Op) -> Window:
    size = list(op.get_attr("ksize"))
    if size[0] != 1 or size[3] != 1:
        raise ExportError(f"expected a window over height and width alone, got {size}")
    if op.get_attr("padding") == b"EXPLICIT":
        raise ExportError("expected padding SAME or VALID, got explicit amounts")
    return window_of(op, size[1:3])


def _arguments(op: Op) -> dict[str, object]:
    _window(op)
    return {name: op.get_attr(name) for name in ("ksize", "strides", "padding")}


def _max_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.raw_ops.MaxPool(input=inputs[0], **_arguments(op))


def _max_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    window = _window(op)
    split = phases(inputs[0], window)
    sent: dict[Tap, Tensor] = {}
    rest = dy
    for tap in window.taps[:-1]:
        differs = _differs(output - gather(split, window, tap), _inside(window, tap))
        left = rest * differs
        sent[tap], rest = rest - left, left
    # What no other tap claims is the last one's.
    sent[window.taps[-1]] = rest
    return [scatter(sent, window)]


def _differs(below: Tensor, inside: np.ndarray) -> Tensor:
    """1 where a tap does not hold the maximum, else 0, for the maximum less what it reads."""
    if inside.all():
        return positive(below)
    # Padding reads as 0 here, which may lie above a negative maximum.
    return tf.maximum(positive(tf.abs(below)), tf.constant(1.0 - inside, below.dtype))


def _average_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.raw_ops.AvgPool(value=inputs[0], **_arguments(op))


def _average_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    window = _window(op)
    # Padding does not count towards an average.
    counts = sum(_inside(window, tap).astype(np.float64) for tap in window.taps)
    share = dy * tf.constant(1.0 / counts, dy.dtype)
    return [scatter(dict.fromkeys(window.taps, share), window)]


def _inside(window: Window, tap: Tap) -> np.ndarray:
    """[1, OH, OW, 1]: whether the tap reads a real input for that output."""
    rows, columns = window.h.valid(tap[0]), window.w.valid(tap[1])
    return np.outer(rows, columns)[None, :, :, None]


MAX_POOL = Rule(_max_forward, _max_gradient)
AVG_POOL = Rule(_average_forward, _average_gradient)
