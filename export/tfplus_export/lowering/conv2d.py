"""Convolution and both of its gradients as matrix products over row-wise columns.

With weights known only at run time, TFLite's CONV_2D falls to a slow kernel, while BATCH_MATMUL is
fast. Full im2col copies every input kh·kw times; here only the kw horizontal taps are laid side by
side, and the kh vertical ones are slices of that: y = Σ_i rows_i · W_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.matmul import product
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.window import Tap, Window, crop, merge, phases, window_of
from tfplus_export.tf_types import Op, Tensor


def _window(op: Op) -> Window:
    x, w = op.inputs
    if x.shape[3] != w.shape[2]:
        raise ExportError(
            f"grouped convolution has no rule: its filter takes {w.shape[2]} of the "
            f"{x.shape[3]} channels"
        )
    return window_of(op, w.shape[:2])


def _rows(x: Tensor, window: Window) -> list[Tensor]:
    """For each vertical tap, the rows it reads: [N·OH·OW, kw·C]."""
    split = phases(x, window)
    h, w = window.h, window.w
    columns: dict[int, Tensor] = {}
    for a in {h.phase(i) for i in range(h.kernel)}:
        parts = [crop(split[a, w.phase(j)], 2, w.shift(j), w.out) for j in range(w.kernel)]
        columns[a] = parts[0] if len(parts) == 1 else tf.concat(parts, 3)
    return [_flat(crop(columns[h.phase(i)], 1, h.shift(i), h.out)) for i in range(h.kernel)]


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    window = _window(op)
    terms = [product(row, _filter_row(weight, i)) for i, row in enumerate(_rows(x, window))]
    return tf.reshape(_sum(terms), op.outputs[0].shape)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    window = _window(op)
    return [
        _input_gradient(dy, weight, window) if wanted[0] else None,
        _filter_gradient(x, dy, weight, window) if wanted[1] else None,
    ]


def _filter_gradient(x: Tensor, dy: Tensor, weight: Tensor, window: Window) -> Tensor:
    _, kw, c, k = weight.shape
    # Transposing dY once serves all vertical taps, and dY is no larger than the columns.
    dy_t = tf.transpose(_flat(dy))
    rows = [tf.reshape(tf.transpose(product(dy_t, row)), [1, kw, c, k]) for row in _rows(x, window)]
    return rows[0] if len(rows) == 1 else tf.concat(rows, 0)


def _input_gradient(dy: Tensor, weight: Tensor, window: Window) -> Tensor:
    """Each phase of dX is a convolution of dY, at stride 1, with the taps that read the phase.

    Reading dY backwards instead of the filter spares a REVERSE, and phases spare the products with
    zeros that a dilated dY would cost.
    """
    h, w = window.h, window.w
    swapped = tf.transpose(weight, [0, 1, 3, 2])
    split: dict[Tap, Tensor] = {}
    for a in range(h.stride):
        for b in range(w.stride):
            vertical, horizontal = h.taps_of(a), w.taps_of(b)
            if vertical and horizontal:
                split[a, b] = _phase_gradient(dy, swapped, window, vertical, horizontal)
    return merge(split, window)


def _phase_gradient(
    dy: Tensor, swapped: Tensor, window: Window, vertical: list[int], horizontal: list[int]
) -> Tensor:
    h, w = window.h, window.w
    up, left = max(h.shift(i) for i in vertical), max(w.shift(j) for j in horizontal)
    padded = tf.pad(dy, [[0, 0], [up, h.rows - h.out], [left, w.rows - w.out], [0, 0]])
    parts = [crop(padded, 2, left - w.shift(j), w.rows) for j in horizontal]
    columns = parts[0] if len(parts) == 1 else tf.concat(parts, 3)
    terms: list[Tensor] = []
    for i in vertical:
        row = _flat(crop(columns, 1, up - h.shift(i), h.rows))
        filters = crop(swapped, 0, i, 1)
        if len(horizontal) < w.kernel:
            filters = tf.concat([crop(filters, 1, j, 1) for j in horizontal], 1)
        terms.append(product(row, _flat(filters)))
    return tf.reshape(_sum(terms), [dy.shape[0], h.rows, w.rows, swapped.shape[3]])


def _filter_row(weight: Tensor, i: int) -> Tensor:
    return _flat(crop(weight, 0, i, 1))


def _flat(x: Tensor) -> Tensor:
    """[A, B, C, D] → [A·B·C, D]."""
    return tf.reshape(x, [-1, x.shape[3]])


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


CONV2D = Rule(_forward, _gradient)
