"""Convolution with stride 1 by Winograd's minimal filtering, and both of its gradients.

The image is cut into tiles that overlap, tiles and filter are transformed, and what was a
convolution is then one matrix product for each entry of a transformed tile: all of them are one
BATCH_MATMUL. For 3×3 filters and tiles of 4×4 outputs it multiplies a quarter as often as the plain
form, and it copies an image 2.25 times instead of 3 (Lavin & Gray, CVPR 2016, section 4.1).

All transformations are linear, so that the gradients are the transposed ones, between the same
transformed filter, input and output gradient.

A frozen filter is transformed anew in each step, too: transformed in the file it would take four
times its size. That pays where a batch has many tiles; with few of them, as where single samples
are predicted, the builtin operator is the fast one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.constants import is_constant, is_known
from tfplus_export.lowering.kernels.matmul import batch_product, correlated
from tfplus_export.lowering.kernels.planes import Planes
from tfplus_export.lowering.kernels.tiles import MOST_AT_ONCE, Tiles, input_tiles, output_tiles
from tfplus_export.lowering.kernels.toom_cook import (
    MOST_PRODUCTS,
    ShortConvolution,
    short_convolution,
)
from tfplus_export.lowering.kernels.window import Axis, Window, window_of
from tfplus_export.lowering.ops.convolution import conv2d
from tfplus_export.tf_types import Op, Tensor

_TAPS = (2, 5)
# For a frozen filter: outputs of a tile along an axis, and tiles of a batch, both at least.
_WIDEST_BY_OPERATOR = 2
_FEWEST_TILES = 64


def winograd(tile: int) -> Rule:
    """The rule with `tile` × `tile` outputs for each tile of the image."""

    def sources(op: Op) -> Sequence[Tensor] | None:
        return tuple(op.inputs) if _applies(op, tile) else None

    def forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
        x, weight = inputs
        minimal = _Minimal(op, tile)
        if not is_constant(weight):
            return minimal.convolution(x, weight)
        if is_known(weight) and tile > _WIDEST_BY_OPERATOR and _tiles(op, tile) >= _FEWEST_TILES:
            return minimal.frozen(x, weight)
        return conv2d.ROWS.forward(op, inputs)

    def gradient(
        op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        x, weight = inputs
        if is_constant(weight):
            return conv2d.ROWS.gradient(op, inputs, output, dy, wanted)
        return _Minimal(op, tile).gradients(x, weight, dy, wanted)

    return Rule(forward, gradient, sources)


def _applies(op: Op, tile: int) -> bool:
    x, weight = op.inputs
    taps = [int(d) for d in weight.shape[:2]]
    window: Window = window_of(op, taps)
    return (
        x.shape[3] == weight.shape[2]
        and all(_TAPS[0] <= t <= _TAPS[1] and t + tile - 1 <= MOST_PRODUCTS for t in taps)
        and all(axis.stride == axis.dilation == 1 for axis in (window.h, window.w))
    )


def _tiles(op: Op, tile: int) -> int:
    n, h, w, _ = (int(d) for d in op.outputs[0].shape)
    return n * -(-h // tile) * -(-w // tile)


def _outputs(h: tuple[Axis, ShortConvolution], w: tuple[Axis, ShortConvolution]) -> Tiles | Planes:
    """Tiles of the output do not overlap, as those of the input do."""
    height, width = h[0].out, w[0].out
    if height * width <= MOST_AT_ONCE:
        return Tiles(output_tiles(*h), output_tiles(*w))
    matrices = h[1].outputs, w[1].outputs
    tile = len(matrices[0]), len(matrices[1])
    return Planes(height, width, tile, np.kron(*matrices).T)


class _Minimal:
    """One convolution of [N, H, W, C] with [kh, kw, C, K], and its transformations."""

    def __init__(self, op: Op, tile: int) -> None:
        window = window_of(op, op.inputs[1].shape[:2])
        axes: tuple[Axis, Axis] = (window.h, window.w)
        shorts: list[ShortConvolution] = [short_convolution(tile, axis.kernel) for axis in axes]
        both = list(zip(axes, shorts, strict=True))
        self._inputs = Tiles(*(input_tiles(*pair) for pair in both))
        self._outputs = _outputs(*both)
        # [products, taps]; the taps of a filter in row-major order.
        self._filter = np.kron(shorts[0].taps, shorts[1].taps)

    def convolution(self, x: Tensor, weight: Tensor) -> Tensor:
        products = batch_product(self._inputs.cut(x), self._transformed(weight))
        return self._outputs.join(products)

    def frozen(self, x: Tensor, weight: Tensor) -> Tensor:
        """The same, with a filter that is a constant of the file, and stays one as it is.

        What depends on constants alone the converter computes and writes into the file. A zero that
        is made of the data keeps it from that.
        """
        zero = tf.reshape(tf.slice(x, [0] * 4, [1] * 4), [1, 1, 1]) * 0.0
        products = batch_product(self._inputs.cut(x), self._transformed(weight, zero))
        return self._outputs.join(products)

    def gradients(
        self, x: Tensor, weight: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        sent = self._outputs.cut(dy)
        dx, dw = None, None
        if wanted[0]:
            back = batch_product(sent, self._transformed(weight), transpose_b=True)
            dx = self._inputs.join(back)
        if wanted[1]:
            dw = self._filter_gradient(self._inputs.cut(x), sent, weight)
        return [dx, dw]

    def _transformed(self, weight: Tensor, zero: Tensor | None = None) -> Tensor:
        """[kh, kw, C, K] → [products, C, K]."""
        kh, kw, c, k = weight.shape
        flat = tf.reshape(weight, [1, kh * kw, c * k])
        taps: Tensor = tf.constant(self._filter[None], weight.dtype)
        products = batch_product(taps if zero is None else taps + zero, flat)
        return tf.reshape(products, [len(self._filter), c, k])

    def _filter_gradient(self, tiles: Tensor, sent: Tensor, weight: Tensor) -> Tensor:
        """Of [products, tiles, C] and [products, tiles, K]: [kh, kw, C, K]."""
        c, k = weight.shape[2:]
        products = correlated(tiles, sent)
        flat = tf.reshape(products, [1, len(self._filter), c * k])
        taps = batch_product(tf.constant(self._filter.T[None], flat.dtype), flat)
        return tf.reshape(taps, weight.shape)
