"""Depthwise convolution as a product and a sum for each tap.

XNNPACK leaves DEPTHWISE_CONV_2D with weights known only at run time. Taps take more passes over the
image than the operator, but the step stays whole: what the backward pass reads again need not be
kept in TFLite's arena from the forward pass on, and may be computed again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.constants import is_constant
from tfplus_export.lowering.depthwise import (
    OPERATOR,
    depthwise_window,
    filter_gradient,
    repeated_channels,
    summed_channels,
)
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.window import Tap, Window, crop, gather, merge, phases
from tfplus_export.tf_types import Op, Tensor


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.forward(op, inputs)
    window = depthwise_window(op)
    split = phases(repeated_channels(x, int(weight.shape[3])), window)
    parts = {tap: gather(split, window, tap) for tap in window.taps}
    return _weighted(parts, weight)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.gradient(op, inputs, output, dy, wanted)
    window = depthwise_window(op)
    dx = _input_gradient(dy, weight, window) if wanted[0] else None
    return [dx, filter_gradient(x, dy, weight, window) if wanted[1] else None]


def _input_gradient(dy: Tensor, weight: Tensor, window: Window) -> Tensor:
    """Each phase of dX is a sum over the taps that read it."""
    h, w = window.h, window.w
    split: dict[Tap, Tensor] = {}
    for a in range(h.stride):
        for b in range(w.stride):
            rows, columns = h.taps_of(a), w.taps_of(b)
            if rows and columns:
                up, left = h.shift(rows[-1]), w.shift(columns[-1])
                padding = [[0, 0], [up, h.rows - h.out], [left, w.rows - w.out], [0, 0]]
                padded = tf.pad(dy, padding)
                bands = {i: crop(padded, 1, up - h.shift(i), h.rows) for i in rows}
                parts = {
                    (i, j): crop(bands[i], 2, left - w.shift(j), w.rows)
                    for i in rows
                    for j in columns
                }
                split[a, b] = _weighted(parts, weight)
    return summed_channels(merge(split, window), int(weight.shape[3]))


def _weighted(parts: dict[Tap, Tensor], weight: Tensor) -> Tensor:
    """Σ part · weight of its tap, each part [N, H, W, C·M]."""
    kw, channels = int(weight.shape[1]), int(weight.shape[2]) * int(weight.shape[3])
    n, height, width, _ = next(iter(parts.values())).shape
    filters = tf.reshape(weight, [-1, channels])
    # A row of pixels and channels as one: products over long rows are faster than over channels.
    ones = tf.constant(np.ones((width, 1)), weight.dtype)
    total: Tensor = None
    for (i, j), part in parts.items():
        along = tf.reshape(crop(filters, 0, i * kw + j, 1) * ones, [1, width * channels])
        term = tf.reshape(part, [n * height, width * channels]) * along
        total = term if total is None else total + term
    return tf.reshape(total, [n, height, width, channels])


TAPS = Rule(_forward, _gradient)
