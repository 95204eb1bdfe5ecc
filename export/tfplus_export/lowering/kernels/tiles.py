"""Overlapping tiles of an image, each mapped by a small matrix along height and along width.

Cutting an image into tiles, padding it and mapping each tile is linear, so that along one axis all
of it is one constant matrix, and a BATCH_MATMUL. Put together again, the outputs of the tiles are
the transposed matrix. Neither needs a PAD, a slice, or an extent that the tiles divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.lowering.kernels.toom_cook import ShortConvolution
from tfplus_export.lowering.kernels.window import Axis
from tfplus_export.tf_types import Tensor

# Pixels up to which one matrix for both axes is faster than two: it multiplies more and moves less.
MOST_AT_ONCE = 64


def input_tiles(axis: Axis, short: ShortConvolution) -> np.ndarray:
    """What becomes of an input along one axis: [products, tiles, size]."""
    products, outputs = len(short.inputs), len(short.outputs)
    tiles = -(-axis.out // outputs)
    matrix = np.zeros((products, tiles, axis.size))
    for tile in range(tiles):
        for place in range(products):
            source = tile * outputs + place - axis.before
            if 0 <= source < axis.size:
                matrix[:, tile, source] += short.inputs[:, place]
    return matrix


def output_tiles(axis: Axis, short: ShortConvolution) -> np.ndarray:
    """What of the products becomes an output along one axis, transposed: [products, tiles, out]."""
    outputs, products = short.outputs.shape
    tiles = -(-axis.out // outputs)
    matrix = np.zeros((products, tiles, axis.out))
    for target in range(axis.out):
        tile, place = divmod(target, outputs)
        matrix[:, tile, target] = short.outputs[place]
    return matrix


@dataclass(frozen=True)
class Tiles:
    """Tiles of an image [N, H, W, C], and what each is mapped to.

    Attributes:
      rows: [products, tiles, H].
      columns: [products, tiles, W].
    """

    rows: np.ndarray
    columns: np.ndarray

    def cut(self, image: Tensor) -> Tensor:
        """[N, H, W, C] → [products of rows · products of columns, N · tiles, C]."""
        n, height, width, c = (int(d) for d in image.shape)
        (a, up, _), (b, across, _) = self.rows.shape, self.columns.shape
        if height * width <= MOST_AT_ONCE:
            both = np.einsum("aih,bjw->abijhw", self.rows, self.columns)
            x = tf.reshape(image, [n, height * width, c])
            x = batch_product(_constant(both.reshape(-1, height * width), x.dtype), x)
            x = tf.transpose(tf.reshape(x, [n, a * b, up * across * c]), [1, 0, 2])
            return tf.reshape(x, [a * b, n * up * across, c])
        x = tf.reshape(image, [n, height, width * c])
        x = batch_product(_constant(self.rows.reshape(-1, height), x.dtype), x)
        x = tf.transpose(tf.reshape(x, [n, a, up * width * c]), [1, 0, 2])
        x = tf.reshape(x, [a * n * up, width, c])
        x = batch_product(_constant(self.columns.reshape(-1, width), x.dtype), x)
        x = tf.transpose(tf.reshape(x, [a, n * up, b, across * c]), [0, 2, 1, 3])
        return tf.reshape(x, [a * b, n * up * across, c])

    def join(self, products: Tensor) -> Tensor:
        """Adds the products of all tiles up to an image; the adjoint of `cut`."""
        (a, up, height), (b, across, width) = self.rows.shape, self.columns.shape
        c = int(products.shape[2])
        n = int(products.shape[1]) // (up * across)
        if height * width <= MOST_AT_ONCE:
            both = np.einsum("aih,bjw->hwabij", self.rows, self.columns)
            x = tf.transpose(tf.reshape(products, [a * b, n, up * across * c]), [1, 0, 2])
            x = tf.reshape(x, [n, a * b * up * across, c])
            x = batch_product(_constant(both.reshape(height * width, -1), x.dtype), x)
            return tf.reshape(x, [n, height, width, c])
        x = tf.transpose(tf.reshape(products, [a, b, n * up, across * c]), [0, 2, 1, 3])
        x = tf.reshape(x, [a * n * up, b * across, c])
        x = batch_product(_constant(self.columns.reshape(-1, width).T, x.dtype), x)
        x = tf.transpose(tf.reshape(x, [a, n, up * width * c]), [1, 0, 2])
        x = tf.reshape(x, [n, a * up, width * c])
        x = batch_product(_constant(self.rows.reshape(-1, height).T, x.dtype), x)
        return tf.reshape(x, [n, height, width, c])


def _constant(matrix: np.ndarray, dtype: Any) -> Tensor:
    """[1, M, K], which the product repeats for each image."""
    return tf.constant(np.ascontiguousarray(matrix)[None], dtype)
