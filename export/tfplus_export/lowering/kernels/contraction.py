"""Products of two tensors over common axes: matrix products, batches of them, and einsum.

Every one is a permutation of each operand, one BATCH_MATMUL of rank 3, and a permutation of the
result. Both gradients are contractions again: for c = a·b over common axes, da contracts dc with b
over the axes that only b and c share, and db contracts a with dc.

Axes are letters, as in einsum: "bth,bsh->bts" has the batch axis b (in all three), the left axis t,
the right axis s, and h is summed over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from tfplus_export.lowering.kernels.constants import is_constant
from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.tf_types import Tensor

# How many times more elements count as much.
_MUCH = 4


@dataclass(frozen=True)
class Contraction:
    """Which axes two operands and their product have, one letter an axis.

    Attributes:
      left: axes of the first operand.
      right: axes of the second.
      out: axes of the product, each of them one of an operand's.
    """

    left: str
    right: str
    out: str

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiplies, by one BATCH_MATMUL of rank 3."""
        spec, a = self._summed("left", a)
        spec, b = spec._summed("right", b)
        return spec._product(a, b)

    def gradients(
        self, a: Tensor, b: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """Gradients of both operands; of extent 1 along an axis that is summed over alone."""
        da = self._gradient(self.left, self.right, dy, a, b) if wanted[0] else None
        db = self._gradient(self.right, self.left, dy, b, a) if wanted[1] else None
        return [da, db]

    def _gradient(self, own: str, other: str, dy: Tensor, x: Tensor, factor: Tensor) -> Tensor:
        reached = "".join(c for c in own if c in self.out or c in other)
        gradient = Contraction(self.out, other, reached)(dy, factor)
        shape = [d if c in reached else 1 for c, d in zip(own, x.shape, strict=True)]
        return gradient if reached == own else tf.reshape(gradient, shape)

    def _summed(self, side: str, x: Tensor) -> tuple[Contraction, Tensor]:
        """Sums over the axes of one operand that neither the other nor the product has."""
        own, other = (self.left, self.right) if side == "left" else (self.right, self.left)
        lone = [i for i, c in enumerate(own) if c not in other and c not in self.out]
        if not lone:
            return self, x
        kept = "".join(c for i, c in enumerate(own) if i not in lone)
        x = tf.reduce_sum(x, lone)
        if side == "left":
            return Contraction(kept, other, self.out), x
        return Contraction(other, kept, self.out), x

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        extent = dict(zip(self.left, a.shape, strict=True))
        extent |= dict(zip(self.right, b.shape, strict=True))
        batch = "".join(c for c in self.out if c in self.left and c in self.right)
        rows = "".join(c for c in self.out if c not in self.right)
        columns = "".join(c for c in self.out if c not in self.left)
        known = is_constant(a), is_constant(b)
        if known == (True, False):
            # Accelerators take a constant on the right side alone, where XNNPACK packs it but once.
            exchanged = Contraction(self.right, self.left, batch + columns + rows)._product(b, a)
            return _permuted(exchanged, batch + columns + rows, self.out)
        may_exchange = known != (False, True)
        if may_exchange and columns and self.out == batch + columns + rows:
            # With the operands exchanged, the product needs no permutation.
            return Contraction(self.right, self.left, self.out)._product(b, a)
        inner = "".join(c for c in self.left if c in self.right and c not in self.out)

        def size(letters: str) -> int:
            return math.prod(int(extent[c]) for c in letters)

        exchange = may_exchange and _exchange(size(rows), size(inner), size(columns))
        if exchange and self.right == columns + inner:
            exchanged = Contraction(self.right, self.left, columns + rows)._product(b, a)
            return _permuted(exchanged, columns + rows, self.out)
        a = _permuted(a, self.left, batch + rows + inner)
        # BATCH_MATMUL reads its right side transposed at no cost.
        transposed = self.right != batch + inner + columns
        order = batch + (columns + inner if transposed else inner + columns)
        b = _permuted(b, self.right, order)
        shape = [size(columns), size(inner)] if transposed else [size(inner), size(columns)]
        if not batch and known[1]:
            # The weights of a frozen layer: FULLY_CONNECTED.
            a = tf.reshape(a, [size(rows), size(inner)])
            c = tf.matmul(a, tf.reshape(b, shape), transpose_b=transposed)
        elif not batch and size(rows) < size(columns):
            # A matrix of weights stays as it is: a RESHAPE would copy it.
            a = tf.reshape(a, [1, size(rows), size(inner)])
            c = batch_product(a, tf.reshape(b, shape), transpose_b=transposed)
        elif not batch:
            a = tf.reshape(a, [size(rows), size(inner)])
            c = batch_product(a, tf.reshape(b, [1, *shape]), transpose_b=transposed)
        else:
            a = tf.reshape(a, [size(batch), size(rows), size(inner)])
            c = batch_product(a, tf.reshape(b, [size(batch), *shape]), transpose_b=transposed)
        given = batch + rows + columns
        return _permuted(tf.reshape(c, [extent[c] for c in given]), given, self.out)


def _exchange(rows: int, inner: int, columns: int) -> bool:
    """Whether to compute cᵀ = bᵀ·aᵀ for the left a [rows, inner], then transpose.

    The right side of a product is copied into panels before it is multiplied, which for a few rows
    and a large matrix takes longer than the product.
    """
    return columns * inner > _MUCH * rows * (inner + columns)


def _permuted(x: Tensor, have: str, want: str) -> Tensor:
    if have == want:
        return x
    extent = dict(zip(have, x.shape, strict=True))
    if [c for c in have if extent[c] != 1] == [c for c in want if extent[c] != 1]:
        return tf.reshape(x, [extent[c] for c in want])
    return tf.transpose(x, [have.index(c) for c in want])
