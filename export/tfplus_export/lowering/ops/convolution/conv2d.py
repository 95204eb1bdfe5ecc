"""Convolution and both of its gradients as matrix products over row-wise columns.

With weights known only at run time, TFLite's CONV_2D falls to a slow kernel, while BATCH_MATMUL is
fast. Full im2col copies every input kh·kw times; here only the kw horizontal taps are laid side by
side, and the kh vertical ones are slices of that: y = Σ_i rows_i · W_i. With few channels
those would be many small products, and full columns are one (`COLUMNS`).

The groups of a grouped convolution are the batch of each product, and stand in front of the batch
of the data: [G·N, H, W, C]. A plain convolution has one group. Below, C and K are channels and
filters of one group.

A frozen filter is a constant, with which the builtin operator is the fast one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.constants import is_constant
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.matmul import batch_product, correlated
from tfplus_export.lowering.kernels.sums import added
from tfplus_export.lowering.kernels.window import (
    Padding,
    Tap,
    Window,
    crop,
    gather,
    merge,
    padding_of,
    phases,
    window_of,
)
from tfplus_export.tf_types import Op, Tensor

# Channels up to which an operator with a known filter makes columns faster than copies do.
_MOST_BY_OPERATOR = 4
# Of an image, from which on a filter gradient is faster as a product for each image, and their sum,
# than as one for all: what one sums up stays in cache.
_FEWEST_PIXELS = 128


def _window(op: Op) -> Window:
    return window_of(op, op.inputs[1].shape[:2])


def _groups(op: Op) -> int:
    x, weight = op.inputs
    return int(x.shape[3]) // int(weight.shape[2])


def _is_plain(op: Op) -> bool:
    return op.get_attr("padding") != b"EXPLICIT" and set(op.get_attr("dilations")) == {1}


def _part(x: Tensor, groups: int) -> Tensor:
    """[A, B, D, G·C] → [G·A, B, D, C]."""
    if groups == 1:
        return x
    a, b, d, c = x.shape
    parts = tf.transpose(tf.reshape(x, [a * b * d, groups, c // groups]), [1, 0, 2])
    return tf.reshape(parts, [groups * a, b, d, c // groups])


def _join(x: Tensor, groups: int) -> Tensor:
    """[G·A, B, D, C] → [A, B, D, G·C]."""
    if groups == 1:
        return x
    a, b, d, c = x.shape
    parts = tf.reshape(x, [groups, a // groups * b * d, c])
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), [a // groups, b, d, groups * c])


def _rule(*, whole: bool, by_image: bool = True) -> Rule:
    def forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
        x, weight = inputs
        window, groups = _window(op), _groups(op)
        if groups == 1 and is_constant(weight) and _is_plain(op):
            padding = op.get_attr("padding").decode()
            return tf.nn.conv2d(x, weight, op.get_attr("strides"), padding)
        return convolution(x, weight, window, groups, whole=whole, by_image=by_image)

    def gradient(
        op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        x, weight = inputs
        window, groups = _window(op), _groups(op)
        dy = _part(dy, groups)
        dx, dw = None, None
        if wanted[0]:
            part = _part(weight, groups)
            dx = _join(input_gradient(dy, part, window, groups, by_image=by_image), groups)
        if wanted[1]:
            x = _part(x, groups)
            dw = filter_gradient(x, dy, window, groups, whole=whole, by_image=by_image)
            dw = tf.reshape(dw, weight.shape)
        return [dx, dw]

    return Rule(forward, gradient)


def convolution(
    x: Tensor,
    weight: Tensor,
    window: Window,
    groups: int,
    *,
    whole: bool = False,
    by_image: bool = False,
) -> Tensor:
    """The convolution of [N, H, W, G·C] with [kh, kw, C, G·K].

    Args:
      x: input.
      weight: filters.
      window: of the convolution.
      groups: G.
      whole: one product, not kh.
      by_image: of one group with large images, a product for each image. The GPU delegate of
        ai-edge-litert 2.3 computes those wrongly.
    """
    filters = _filter_rows(_part(weight, groups), groups)
    if whole:
        columns = _columns(_part(x, groups), window, groups, by_image)
        terms = [batch_product(columns[0], _flat(filters, groups, False))]
    else:
        rows = _rows(_part(x, groups), window, groups, by_image)
        terms = [batch_product(row, _row(filters, i)) for i, row in enumerate(rows)]
    n, k = x.shape[0], weight.shape[3]
    shape = [groups * n, window.h.out, window.w.out, k // groups]
    return _join(tf.reshape(added(terms), shape), groups)


def _rows(x: Tensor, window: Window, groups: int, by_image: bool) -> list[Tensor]:
    """For each vertical tap, the rows it reads: [G, N·OH·OW, kw·C]."""
    split = phases(x, window)
    h, w = window.h, window.w
    columns: dict[int, Tensor] = {}
    for a in {h.phase(i) for i in range(h.kernel)}:
        parts = [crop(split[a, w.phase(j)], 2, w.shift(j), w.out) for j in range(w.kernel)]
        columns[a] = join(parts, 3)
    read = [crop(columns[h.phase(i)], 1, h.shift(i), h.out) for i in range(h.kernel)]
    return [_flat(x, groups, by_image) for x in read]


def _columns(x: Tensor, window: Window, groups: int, by_image: bool) -> list[Tensor]:
    """What all taps read, side by side: one [G, N·OH·OW, kh·kw·C]."""
    padding = padding_of(window)
    if groups == 1 and padding is not None and int(x.shape[3]) <= _MOST_BY_OPERATOR:
        return [_flat(_columns_by_operator(x, window, padding), groups, by_image)]
    split = phases(x, window)
    lines = [
        join([gather(split, window, (i, j)) for j in range(window.w.kernel)], 3)
        for i in range(window.h.kernel)
    ]
    return [_flat(join(lines, 3), groups, by_image)]


def _columns_by_operator(x: Tensor, window: Window, padding: Padding) -> Tensor:
    """A convolution whose filter k is 1 in entry k alone: [N, OH, OW, kh·kw·C].

    Its filter is known, which XNNPACK runs fast, and it pads and strides at no cost; copying one
    channel after the other is slow.
    """
    kh, kw, c = window.h.kernel, window.w.kernel, int(x.shape[3])
    every = np.eye(kh * kw * c).reshape(kh, kw, c, -1)
    return tf.nn.conv2d(x, tf.constant(every, x.dtype), [window.h.stride, window.w.stride], padding)


def filter_gradient(
    x: Tensor,
    dy: Tensor,
    window: Window,
    groups: int,
    *,
    whole: bool = False,
    by_image: bool = False,
) -> Tensor:
    """dW, [kh, kw·C, G·K]; with `whole` columns [1, kh·kw·C, G·K]. For `by_image` see above."""
    read = _columns if whole else _rows
    columns, sent = read(x, window, groups, by_image), _flat(dy, groups, by_image)
    products = [_side_by_side(_correlated(column, sent, groups)) for column in columns]
    return join(products, 0)


def _correlated(columns: Tensor, sent: Tensor, groups: int) -> Tensor:
    """[G, P, kw·C] and [G, P, K] → [G, kw·C, K]; of one group, also image by image."""
    product = correlated(columns, sent)
    if product.shape[0] == groups:
        return product
    return tf.reduce_sum(product, 0, keepdims=True)


def _side_by_side(product: Tensor) -> Tensor:
    """[G, kw·C, K] → [1, kw·C, G·K]: filters of a group side by side, groups in order."""
    groups, inner, k = product.shape
    if groups == 1:
        return product
    return tf.reshape(tf.transpose(product, [1, 0, 2]), [1, inner, groups * k])


def input_gradient(
    dy: Tensor, weight: Tensor, window: Window, groups: int, *, by_image: bool = False
) -> Tensor:
    """Each phase of dX is a convolution of dY, at stride 1, with the taps that read the phase.

    Reading dY backwards instead of the filter spares a REVERSE, and phases spare the products with
    zeros that a dilated dY would cost.
    """
    h, w = window.h, window.w
    swapped = _filter_rows(tf.transpose(weight, [0, 1, 3, 2]), groups)
    split: dict[Tap, Tensor] = {}
    for a in range(h.stride):
        for b in range(w.stride):
            vertical, horizontal = h.taps_of(a), w.taps_of(b)
            if vertical and horizontal:
                taps = vertical, horizontal
                split[a, b] = _phase_gradient(dy, swapped, window, *taps, by_image)
    return merge(split, window)


def _phase_gradient(
    dy: Tensor,
    swapped: Tensor,
    window: Window,
    vertical: list[int],
    horizontal: list[int],
    by_image: bool,
) -> Tensor:
    h, w = window.h, window.w
    groups, k = swapped.shape[0], dy.shape[3]
    up, left = max(h.shift(i) for i in vertical), max(w.shift(j) for j in horizontal)
    padded = tf.pad(dy, [[0, 0], [up, h.rows - h.out], [left, w.rows - w.out], [0, 0]])
    parts = [crop(padded, 2, left - w.shift(j), w.rows) for j in horizontal]
    columns = join(parts, 3)
    terms: list[Tensor] = []
    for i in vertical:
        row = _flat(crop(columns, 1, up - h.shift(i), h.rows), groups, by_image)
        filters = _row(swapped, i)
        if len(horizontal) < w.kernel:
            filters = join([crop(filters, 1, j * k, k) for j in horizontal], 1)
        terms.append(batch_product(row, filters))
    return tf.reshape(added(terms), [dy.shape[0], h.rows, w.rows, swapped.shape[3]])


def _filter_rows(weight: Tensor, groups: int) -> Tensor:
    """[G·kh, kw, C, K] → [G, kh, kw·C, K]."""
    kh, kw, c, k = weight.shape
    return tf.reshape(weight, [groups, kh // groups, kw * c, k])


def _row(filters: Tensor, i: int) -> Tensor:
    """[G, kh, kw·C, K] → [G, kw·C, K], of one vertical tap."""
    groups, _, inner, k = filters.shape
    return tf.reshape(crop(filters, 1, i, 1), [groups, inner, k])


def _flat(x: Tensor, groups: int, by_image: bool) -> Tensor:
    """[G·N, H, W, C] → [G, N·H·W, C]; `by_image` of one group with large images [N, H·W, C]."""
    n, h, w, c = (int(d) for d in x.shape)
    if by_image and groups == 1 and h * w >= _FEWEST_PIXELS:
        return tf.reshape(x, [n, h * w, c])
    return tf.reshape(x, [groups, n // groups * h * w, c])


ROWS = _rule(whole=False)
ROWS_AT_ONCE = _rule(whole=False, by_image=False)
COLUMNS = _rule(whole=True)
