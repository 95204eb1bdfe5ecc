"""Depthwise convolution with the builtin operator, and both of its gradients.

One channel is too little for matrix products. The gradient of the input is a depthwise convolution
again; that of the filter is a product and a sum for each tap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.constants import is_constant
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.sums import sum_over
from tfplus_export.lowering.kernels.window import (
    Tap,
    Window,
    crop,
    gather,
    merge,
    phases,
    window_of,
)
from tfplus_export.tf_types import Op, Tensor


def depthwise_window(op: Op) -> Window:
    """The window of a depthwise convolution.

    Raises:
      ExportError: it is padded by explicit amounts, or dilated.
    """
    if op.get_attr("padding") == b"EXPLICIT":
        raise ExportError("expected padding SAME or VALID, got explicit amounts")
    window = window_of(op, op.inputs[1].shape[:2])
    if window.h.dilation != 1 or window.w.dilation != 1:
        raise ExportError("expected a dilation of 1: Keras dilates by SpaceToBatchND")
    return window


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    depthwise_window(op)
    x, weight = inputs
    if not is_constant(weight):
        x, weight = repeated_channels(x, int(weight.shape[3])), _single(weight)
    return _depthwise(x, weight, op.get_attr("strides"), op.get_attr("padding"))


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    window = depthwise_window(op)
    return [
        _input_gradient(dy, weight, window) if wanted[0] else None,
        filter_gradient(x, dy, weight, window) if wanted[1] else None,
    ]


def filter_gradient(x: Tensor, dy: Tensor, weight: Tensor, window: Window) -> Tensor:
    """dW: the sum of what each tap reads, times dY."""
    split = phases(repeated_channels(x, int(weight.shape[3])), window)
    taps = [sum_over(gather(split, window, tap) * dy, [0, 1, 2]) for tap in window.taps]
    return tf.reshape(join(taps, 0), weight.shape)


def _input_gradient(dy: Tensor, weight: Tensor, window: Window) -> Tensor:
    """Each phase of dX is a depthwise convolution of dY with the taps that read it, reversed."""
    kh, kw, _, multiplier = (int(d) for d in weight.shape)
    every = _single(weight)
    h, w = window.h, window.w
    if h.stride == w.stride == 1:
        kernel = _pick(_pick(every, 0, range(kh)[::-1]), 1, range(kw)[::-1])
        return summed_channels(_adjoint(dy, kernel, window), multiplier)
    split: dict[Tap, Tensor] = {}
    for a in range(h.stride):
        for b in range(w.stride):
            rows, columns = h.taps_of(a), w.taps_of(b)
            if rows and columns:
                up, left = h.shift(rows[-1]), w.shift(columns[-1])
                padding = [[0, 0], [up, h.rows - h.out], [left, w.rows - w.out], [0, 0]]
                kernel = _pick(_pick(every, 0, rows[::-1]), 1, columns[::-1])
                split[a, b] = _depthwise(tf.pad(dy, padding), kernel, [1, 1, 1, 1], b"VALID")
    return summed_channels(merge(split, window), multiplier)


def _adjoint(dy: Tensor, reversed_taps: Tensor, window: Window) -> Tensor:
    """The depthwise convolution, with stride 1, of dY that ends where the input ends."""
    amounts = [(a.kernel - 1 - a.before, a.kernel - 1 - a.after) for a in (window.h, window.w)]
    same = [((a.kernel - 1) // 2, a.kernel // 2) for a in (window.h, window.w)]
    if amounts == same:
        return _depthwise(dy, reversed_taps, [1, 1, 1, 1], b"SAME")
    padded = tf.pad(dy, [(0, 0), *amounts, (0, 0)])
    return _depthwise(padded, reversed_taps, [1, 1, 1, 1], b"VALID")


def summed_channels(dx: Tensor, multiplier: int) -> Tensor:
    """Adds up what the filters of one channel send to it."""
    if multiplier == 1:
        return dx
    channels = int(dx.shape[3]) // multiplier
    parts = tf.reshape(dx, [-1, channels, multiplier])
    return tf.reshape(tf.reduce_sum(parts, 2), [*dx.shape[:3], channels])


def repeated_channels(x: Tensor, multiplier: int) -> Tensor:
    """Each channel as often as the layer multiplies it: output channel c·M + m reads channel c.

    The GPU delegate of ai-edge-litert 2.3 ends the process on a runtime filter that multiplies.
    """
    if multiplier == 1:
        return x
    n, h, w, c = x.shape
    ones = tf.constant(np.ones((1, 1, multiplier)), x.dtype)
    return tf.reshape(tf.reshape(x, [-1, c, 1]) * ones, [n, h, w, c * multiplier])


def _single(weight: Tensor) -> Tensor:
    """[kh, kw, C, M] → [kh, kw, C·M, 1]."""
    kh, kw, c, m = (int(d) for d in weight.shape)
    return weight if m == 1 else tf.reshape(weight, [kh, kw, c * m, 1])


def _pick(x: Tensor, axis: int, indices: Sequence[int]) -> Tensor:
    # Slices of a small tensor: XNNPACK has neither GATHER nor REVERSE.
    parts = [crop(x, axis, i, 1) for i in indices]
    return join(parts, axis)


def _depthwise(x: Tensor, weight: Tensor, strides: list[int], padding: bytes) -> Tensor:
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x, filter=weight, strides=strides, padding=padding.decode()
    )


OPERATOR = Rule(_forward, _gradient)
