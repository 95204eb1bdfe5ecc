"""Tiles of an image that do not overlap, each mapped by one small matrix for height and width.

Entry (i, j) of all tiles of a batch is a plane, and the planes are rows of a matrix: so one product
maps all tiles. Only the image is put into planes or together from them, not what it is mapped to,
which is larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.lowering.kernels.window import fit
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Planes:
    """Tiles of an image [N, height, width, C]; those at its end may reach beyond it.

    Attributes:
      height: of the image.
      width: of the image.
      tile: height and width of a tile.
      matrix: what becomes of a tile, [products, tile height · tile width].
    """

    height: int
    width: int
    tile: tuple[int, int]
    matrix: np.ndarray

    def cut(self, image: Tensor) -> Tensor:
        """[N, H, W, C] → [products, N · tiles, C]."""
        n, c = int(image.shape[0]), int(image.shape[3])
        (a, b), (up, across) = self.tile, self._tiles
        x = fit(image, 1, 0, up * a - self.height)
        x = fit(x, 2, 0, across * b - self.width)
        x = tf.transpose(tf.reshape(x, [n * up * a, across, b, c]), [2, 0, 1, 3])
        x = tf.transpose(tf.reshape(x, [b, n * up, a, across * c]), [2, 0, 1, 3])
        x = tf.reshape(x, [1, a * b, n * up * across * c])
        x = batch_product(tf.constant(self.matrix[None], x.dtype), x)
        return tf.reshape(x, [len(self.matrix), n * up * across, c])

    def join(self, products: Tensor) -> Tensor:
        """[products, N · tiles, C] → [N, H, W, C]; the adjoint of `cut`."""
        (a, b), (up, across) = self.tile, self._tiles
        places, c = int(products.shape[1]), int(products.shape[2])
        n = places // (up * across)
        x = tf.reshape(products, [1, len(self.matrix), places * c])
        x = batch_product(tf.constant(self.matrix.T[None], x.dtype), x)
        x = tf.transpose(tf.reshape(x, [a, b, n * up, across * c]), [1, 2, 0, 3])
        x = tf.transpose(tf.reshape(x, [b, n * up * a, across, c]), [1, 2, 0, 3])
        x = tf.reshape(x, [n, up * a, across * b, c])
        x = fit(x, 1, 0, self.height - up * a)
        return fit(x, 2, 0, self.width - across * b)

    @property
    def _tiles(self) -> tuple[int, int]:
        return -(-self.height // self.tile[0]), -(-self.width // self.tile[1])
