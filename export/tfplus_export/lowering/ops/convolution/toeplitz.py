"""Convolution with few channels: neighbouring pixels as one row of a product.

With few channels a convolution is bound by copies, not by products. Here b neighbouring outputs of
a line are one row: they read two blocks of b·stride inputs, and the filter becomes the block
Toeplitz matrix [2·b·stride·C, b·K] that has its taps once for each output of the block, and zeros
between. For three taps, stride 1 and b = 2 that multiplies 4/3 times as often, copies an image
twice instead of three times, and gives products that are b times as wide.

Vertical taps shift what comes out of the products, which is as small as the output, rather than
what goes in. In the backward pass the shifted gradients stand side by side: one product with the
blocks gives every tap of the filter's gradient, and one with the transposed matrix that of the
input. Lines that are equal modulo the stride form a phase, and each phase has its own taps.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.constants import is_constant
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.matmul import batch_product, correlated
from tfplus_export.lowering.kernels.sums import added
from tfplus_export.lowering.kernels.window import Window, crop, fit, window_of
from tfplus_export.lowering.kernels.zeros import zero_padded
from tfplus_export.lowering.ops.convolution import conv2d
from tfplus_export.tf_types import Op, Tensor


def _sources(op: Op) -> Sequence[Tensor] | None:
    x, weight = op.inputs
    window = window_of(op, weight.shape[:2])
    axes = (window.h, window.w)
    applies = (
        x.shape[3] == weight.shape[2]
        and window.w.kernel > 1
        and all(a.dilation == 1 and a.stride <= a.kernel for a in axes)
    )
    return tuple(op.inputs) if applies else None


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x, weight = inputs
    if is_constant(weight):
        return conv2d.ROWS.forward(op, inputs)
    return _Blocks(op).convolution(x, weight)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, weight = inputs
    if is_constant(weight):
        return conv2d.ROWS.gradient(op, inputs, output, dy, wanted)
    blocks = _Blocks(op)
    sent = blocks.sent(dy)
    return [
        blocks.input_gradient(sent, weight) if wanted[0] else None,
        blocks.filter_gradient(blocks.read(x), sent) if wanted[1] else None,
    ]


class _Blocks:
    """One convolution of [N, H, W, C] with [kh, kw, C, K] over lines of blocks.

    Attributes:
      outputs: outputs in a block, b.
      count: blocks in a line of the output, Q.
      lines: lines in a phase of the padded image, L; as many as the last output needs.
    """

    def __init__(self, op: Op) -> None:
        self._window: Window = window_of(op, op.inputs[1].shape[:2])
        h, w = self._window.h, self._window.w
        self._n, _, _, c = (int(d) for d in op.inputs[0].shape)
        self._c, self._k = c, int(op.inputs[1].shape[3])
        # Two blocks hold what one block of outputs reads: s·(b - 1) + kw <= 2·s·b.
        self.outputs = max(2 if w.stride == 1 else 1, -(-(w.kernel - w.stride) // w.stride))
        self.count = -(-w.out // self.outputs)
        self.lines = h.rows
        # Of a block of inputs.
        self._pixels = self.outputs * w.stride
        self._taps = {a: h.taps_of(a) for a in range(h.stride)}

    def convolution(self, x: Tensor, weight: Tensor) -> Tensor:
        h, w = self._window.h, self._window.w
        read, matrices = self.read(x), self._matrices(weight)
        parts: list[Tensor] = []
        for phase, taps in self._taps.items():
            for i in taps:
                made = batch_product(read[phase], crop(matrices, 0, i, 1))
                parts.append(crop(made, 1, h.shift(i) * self.count, h.out * self.count))
        total = added(parts)
        image = tf.reshape(total, [self._n, h.out, self.count * self.outputs, self._k])
        return crop(image, 2, 0, w.out)

    def read(self, x: Tensor) -> dict[int, Tensor]:
        """By phase, what each block of outputs reads in a line: [N, L·Q, 2·b·s·C]."""
        h, w = self._window.h, self._window.w
        n, q, block = self._n, self.count, self._pixels * self._c
        image = fit(x, 1, 0, min(h.after, 0))
        image = fit(image, 2, 0, min(self._right, 0))
        amounts = [[0, 0], [h.before, max(h.after, 0)], [w.before, max(self._right, 0)], [0, 0]]
        padded = tf.reshape(zero_padded(image, amounts), [n, h.padded, q + 1, block])
        pairs = join([crop(padded, 2, 0, q), crop(padded, 2, 1, q)], 3)
        by_phase = tf.reshape(pairs, [n, self.lines, h.stride * q, 2 * block])
        return {
            a: tf.reshape(crop(by_phase, 2, a * q, q), [n, self.lines * q, 2 * block])
            for a in self._taps
        }

    def sent(self, dy: Tensor) -> dict[int, Tensor]:
        """By phase, output gradients of the taps that read a line: [N, L·Q, taps·b·K]."""
        h, w = self._window.h, self._window.w
        fitted = fit(dy, 2, 0, self.count * self.outputs - w.out)
        blocks = tf.reshape(fitted, [self._n, h.out, self.count, self.outputs * self._k])
        last = self.lines - h.out
        found: dict[int, Tensor] = {}
        for phase, taps in self._taps.items():
            shifted = join([fit(blocks, 1, h.shift(i), last - h.shift(i)) for i in taps], 3)
            found[phase] = tf.reshape(shifted, [self._n, self.lines * self.count, -1])
        return found

    def filter_gradient(self, read: dict[int, Tensor], sent: dict[int, Tensor]) -> Tensor:
        """dW, [kh, kw, C, K]: of each matrix, the sum over its copies of the filter."""
        kh, kw, stride = self._window.h.kernel, self._window.w.kernel, self._window.w.stride
        c = self._c
        rows: dict[int, Tensor] = {}
        for phase, taps in self._taps.items():
            by_image = correlated(read[phase], sent[phase])
            shape = [2 * self._pixels * self._c, len(taps), self.outputs, self._k]
            parts = tf.reshape(tf.reduce_sum(by_image, 0), shape)
            rows_of = [crop(parts, 0, p * stride * c, kw * c) for p in range(self.outputs)]
            total = added([crop(part, 2, p, 1) for p, part in enumerate(rows_of)])
            for place, i in enumerate(taps):
                rows[i] = tf.reshape(crop(total, 1, place, 1), [1, kw * self._c, self._k])
        return tf.reshape(join([rows[i] for i in range(kh)], 0), [kh, kw, self._c, self._k])

    def input_gradient(self, sent: dict[int, Tensor], weight: Tensor) -> Tensor:
        """dX: each block of inputs was read by the block above it and by the one before."""
        h, w = self._window.h, self._window.w
        n, q, block = self._n, self.count, self._pixels * self._c
        # [kh, 2·b·s·C, b·K] → [kh, b·K, 2·b·s·C]
        matrices = tf.transpose(self._matrices(weight), [0, 2, 1])
        phases: list[Tensor] = []
        for phase, taps in self._taps.items():
            back = tf.reshape(join([crop(matrices, 0, i, 1) for i in taps], 1), [1, -1, 2 * block])
            halves = []
            for side in range(2):
                made = batch_product(sent[phase], crop(back, 2, side * block, block))
                halves.append(fit(tf.reshape(made, [n, self.lines, q, block]), 2, side, 1 - side))
            phases.append(halves[0] + halves[1])
        image = tf.reshape(join(phases, 2), [n, h.padded, (q + 1) * self._pixels, self._c])
        image = fit(image, 1, -h.before, -h.after)
        return fit(image, 2, -w.before, -self._right)

    @property
    def _right(self) -> int:
        """Zeros behind a line of the image; negative where its last pixels are never read."""
        w = self._window.w
        return (self.count + 1) * self._pixels - w.before - w.size

    def _matrices(self, weight: Tensor) -> Tensor:
        """For each vertical tap its block Toeplitz matrix: [kh, 2·b·s·C, b·K]."""
        kh, kw, c, k = (int(d) for d in weight.shape)
        taps = tf.reshape(weight, [kh, kw * c, k])
        stride = self._window.w.stride
        free = 2 * self._pixels - kw
        shifts = [p * stride for p in range(self.outputs)]
        return join([fit(taps, 1, p * c, (free - p) * c) for p in shifts], 2)


TOEPLITZ = Rule(_forward, _gradient, _sources)
