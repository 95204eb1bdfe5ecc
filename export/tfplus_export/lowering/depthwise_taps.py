"""Depthwise convolution as a product and a sum for each tap.

XNNPACK leaves DEPTHWISE_CONV_2D with weights known only at run time. Taps take more passes over the
image than the operator, but the step stays whole: what the backward pass reads again need not be
kept in TFLite's arena from the forward pass on, and may be computed again.

A pass is a copy, a product or a sum of whole samples. Copies are what costs most, and a copy of an
image's columns more than twice one without gaps: see `shifting`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.constants import is_constant
from tfplus_export.lowering.depthwise import (
    OPERATOR,
    depthwise_window,
    repeated_channels,
    summed_channels,
)
from tfplus_export.lowering.joining import join
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.shifting import Grid, Shift, shifted
from tfplus_export.lowering.sums import sum_over
from tfplus_export.lowering.window import Tap, crop, fit, merge, phases
from tfplus_export.tf_types import Op, Tensor


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.forward(op, inputs)
    grid = Grid(depthwise_window(op))
    split = phases(repeated_channels(x, int(weight.shape[3])), grid.cells)
    parts: list[Tensor] = []
    for phase, taps in grid.taps.items():
        read = shifted(split[phase], set(taps.values()), grid.window.h.out)
        parts += _weighted(read, taps, _rows(weight, grid, grid.reads))
    return fit(_added(parts), 2, 0, grid.window.w.out - grid.pitch)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.gradient(op, inputs, output, dy, wanted)
    grid, multiplier = Grid(depthwise_window(op)), int(weight.shape[3])
    # Sending to a tap is reading the other way: both gradients need the same copies of dY.
    back = {
        phase: {tap: (-down, -right) for tap, (down, right) in taps.items()}
        for phase, taps in grid.taps.items()
    }
    shifts = {shift for taps in back.values() for shift in taps.values()}
    sent = shifted(fit(dy, 2, 0, grid.pitch - grid.window.w.out), shifts, grid.cells.h.out)
    dx, dw = None, None
    if wanted[0]:
        rows = _rows(weight, grid, grid.is_read)
        sums = {phase: _added(_weighted(sent, taps, rows)) for phase, taps in back.items()}
        dx = summed_channels(merge(sums, grid.cells), multiplier)
    if wanted[1]:
        split = phases(repeated_channels(x, multiplier), grid.cells)
        dw = _filter_gradient(split, sent, back, grid, weight)
    return [dx, dw]


def _filter_gradient(
    split: dict[Tap, Tensor],
    sent: dict[Shift, Tensor],
    back: dict[Tap, dict[Tap, Shift]],
    grid: Grid,
    weight: Tensor,
) -> Tensor:
    """dW: the sum of each tap's phase of X, times what was sent there; columns last."""
    sums = {
        tap: sum_over(split[phase] * sent[shift], [0, 1], keepdims=True)
        for phase, taps in back.items()
        for tap, shift in taps.items()
    }
    columns = join([sums[tap] for tap in grid.window.taps], 0)
    real = tf.constant(grid.is_read[:, None, :, None], columns.dtype)
    return tf.reshape(tf.reduce_sum(columns * real, [1, 2]), weight.shape)


def _rows(weight: Tensor, grid: Grid, real: np.ndarray) -> dict[Tap, Tensor]:
    """For each tap a row of its weights, [1, 1, pitch, C·M], with zeros where it leaves the image.

    A product over long rows is faster than one over channels.
    """
    filters = tf.reshape(weight, [len(real), 1, 1, -1])
    every = filters * tf.constant(real[:, None, :, None], weight.dtype)
    return {tap: crop(every, 0, i, 1) for i, tap in enumerate(grid.window.taps)}


def _weighted(
    read: dict[Shift, Tensor], taps: dict[Tap, Shift], rows: dict[Tap, Tensor]
) -> list[Tensor]:
    return [read[shift] * rows[tap] for tap, shift in taps.items()]


def _added(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


TAPS = Rule(_forward, _gradient)
