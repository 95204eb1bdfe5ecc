"""Depthwise convolution as a product and a sum for each tap.

XNNPACK leaves DEPTHWISE_CONV_2D with weights known only at run time. Taps take more passes over the
image than the operator, but the step stays whole: what the backward pass reads again need not be
kept in TFLite's arena from the forward pass on, and may be computed again.

A tap is a copy, a product in its place, and a sum. Copies are without gaps, see `shifting`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.constants import is_constant
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.shifting import Grid, shifted
from tfplus_export.lowering.kernels.sums import added, sum_over
from tfplus_export.lowering.kernels.window import Tap, crop, fit, merge, phases
from tfplus_export.lowering.ops.convolution.depthwise import (
    OPERATOR,
    depthwise_window,
    repeated_channels,
    summed_channels,
)
from tfplus_export.tf_types import Op, Tensor


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.forward(op, inputs)
    grid = Grid(depthwise_window(op))
    rows = _rows(weight, grid, grid.reads)
    read = _read(x, weight, grid)
    total = added([read[tap] * rows[tap] for tap in grid.window.taps])
    return fit(total, 2, 0, grid.window.w.out - grid.pitch)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.gradient(op, inputs, output, dy, wanted)
    grid = Grid(depthwise_window(op))
    dy = fit(dy, 2, 0, grid.pitch - grid.window.w.out)
    return [
        _input_gradient(dy, weight, grid) if wanted[0] else None,
        _filter_gradient(x, dy, weight, grid) if wanted[1] else None,
    ]


def _input_gradient(dy: Tensor, weight: Tensor, grid: Grid) -> Tensor:
    """Each phase of dX is a sum over the taps that read it."""
    back = {shift: (-shift[0], -shift[1]) for taps in grid.taps.values() for shift in taps.values()}
    rows = _rows(weight, grid, grid.is_read)
    sent = shifted(dy, back.values(), grid.cells.h.out)
    split = {
        phase: added([sent[back[shift]] * rows[tap] for tap, shift in taps.items()])
        for phase, taps in grid.taps.items()
    }
    return summed_channels(merge(split, grid.cells), int(weight.shape[3]))


def _filter_gradient(x: Tensor, dy: Tensor, weight: Tensor, grid: Grid) -> Tensor:
    """dW: the sum of what each tap reads, times dY; over columns last, without those it cannot."""
    # The converter merges equal copies, and no product overwrites what is read twice: with one more
    # row of zeros above, these are not those of the forward pass.
    read = _read(x, weight, grid, margin=1)
    every = [sum_over(read[tap] * dy, [0, 1], keepdims=True) for tap in grid.window.taps]
    real = tf.constant(grid.reads[:, None, :, None], dy.dtype)
    return tf.reshape(tf.reduce_sum(join(every, 0) * real, [1, 2]), weight.shape)


def _read(x: Tensor, weight: Tensor, grid: Grid, *, margin: int = 0) -> dict[Tap, Tensor]:
    """What each tap reads for every output: [N, out height, pitch, C·M]."""
    split = phases(repeated_channels(x, int(weight.shape[3])), grid.cells)
    read: dict[Tap, Tensor] = {}
    for phase, taps in grid.taps.items():
        parts = shifted(split[phase], taps.values(), grid.window.h.out, margin=margin)
        read.update({tap: parts[shift] for tap, shift in taps.items()})
    return read


def _rows(weight: Tensor, grid: Grid, real: np.ndarray) -> dict[Tap, Tensor]:
    """For each tap a row of its weights, [1, 1, pitch, C·M], with zeros where it leaves the image.

    A product over long rows is faster than one over channels.
    """
    filters = tf.reshape(weight, [len(real), 1, 1, -1])
    every = filters * tf.constant(real[:, None, :, None], weight.dtype)
    return {tap: crop(every, 0, i, 1) for i, tap in enumerate(grid.window.taps)}


TAPS = Rule(_forward, _gradient)
