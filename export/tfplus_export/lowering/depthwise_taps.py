"""Depthwise convolution as a product and a sum for each tap.

XNNPACK leaves DEPTHWISE_CONV_2D with weights known only at run time. Taps take more passes over the
image than the operator, but the step stays whole: what the backward pass reads again need not be
kept in TFLite's arena from the forward pass on, and may be computed again.

A tap is a copy, a product in its place, and a sum. Copies are without gaps, see `shifting`, and of
a part of the batch at a time where the batch does not fit into a processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.arrangement.delegation import MOST_JOINED
from tfplus_export.lowering.constants import is_constant
from tfplus_export.lowering.depthwise import (
    OPERATOR,
    depthwise_window,
    repeated_channels,
    summed_channels,
)
from tfplus_export.lowering.joining import join
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.shifting import Grid, shifted
from tfplus_export.lowering.sums import sum_over
from tfplus_export.lowering.window import Tap, crop, fit, merge, phases
from tfplus_export.tf_types import Op, Tensor

# Parts of a batch are as large as this, where no more than can be joined at once come of it.
_CHUNK_BYTES = 4 << 20
_MOST_CHUNKS = MOST_JOINED


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    if is_constant(weight):
        return OPERATOR.forward(op, inputs)
    grid = Grid(depthwise_window(op))
    rows = _rows(weight, grid, grid.reads)
    totals = [
        _added([read[tap] * rows[tap] for tap in grid.window.taps])
        for read in _read(x, weight, grid)
    ]
    return fit(join(totals, 0), 2, 0, grid.window.w.out - grid.pitch)


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
    chunks = _chunks(weight, grid, int(dy.shape[0]))
    every = shifted(dy, back.values(), grid.cells.h.out, chunks)
    split: dict[Tap, Tensor] = {}
    for phase, taps in grid.taps.items():
        totals = [
            _added([sent[back[shift]] * rows[tap] for tap, shift in taps.items()]) for sent in every
        ]
        split[phase] = join(totals, 0)
    return summed_channels(merge(split, grid.cells), int(weight.shape[3]))


def _filter_gradient(x: Tensor, dy: Tensor, weight: Tensor, grid: Grid) -> Tensor:
    """dW: the sum of what each tap reads, times dY; over columns last, without those it cannot."""
    sums: list[Tensor] = []
    # The converter merges equal copies, and no product overwrites what is read twice: with one more
    # row of zeros above, these are not those of the forward pass.
    chunks = _chunks(weight, grid, int(dy.shape[0]))
    for (start, size), read in zip(chunks, _read(x, weight, grid, margin=1), strict=True):
        sent = crop(dy, 0, start, size)
        every = [sum_over(read[tap] * sent, [0, 1], keepdims=True) for tap in grid.window.taps]
        sums.append(join(every, 0))
    columns = _added(sums)
    real = tf.constant(grid.reads[:, None, :, None], columns.dtype)
    return tf.reshape(tf.reduce_sum(columns * real, [1, 2]), weight.shape)


def _read(x: Tensor, weight: Tensor, grid: Grid, *, margin: int = 0) -> list[dict[Tap, Tensor]]:
    """What each tap reads for every output, [samples, out height, pitch, C·M], chunk by chunk."""
    split = phases(repeated_channels(x, int(weight.shape[3])), grid.cells)
    h = grid.window.h
    chunks = _chunks(weight, grid, int(x.shape[0]))
    read: list[dict[Tap, Tensor]] = [{} for _ in chunks]
    for phase, taps in grid.taps.items():
        every = shifted(split[phase], taps.values(), h.out, chunks, margin=margin)
        for of_chunk, parts in zip(read, every, strict=True):
            of_chunk.update({tap: parts[shift] for tap, shift in taps.items()})
    return read


def _chunks(weight: Tensor, grid: Grid, samples: int) -> list[tuple[int, int]]:
    """The first sample and how many, for parts of a batch that stay in a processor's cache."""
    channels = int(weight.shape[2]) * int(weight.shape[3])
    each = grid.window.h.out * grid.pitch * channels * weight.dtype.size
    count = min(_MOST_CHUNKS, samples, -(-samples * each // _CHUNK_BYTES))
    size = -(-samples // count)
    return [(start, min(size, samples - start)) for start in range(0, samples, size)]


def _rows(weight: Tensor, grid: Grid, real: np.ndarray) -> dict[Tap, Tensor]:
    """For each tap a row of its weights, [1, 1, pitch, C·M], with zeros where it leaves the image.

    A product over long rows is faster than one over channels.
    """
    filters = tf.reshape(weight, [len(real), 1, 1, -1])
    every = filters * tf.constant(real[:, None, :, None], weight.dtype)
    return {tap: crop(every, 0, i, 1) for i, tap in enumerate(grid.window.taps)}


def _added(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


TAPS = Rule(_forward, _gradient)
