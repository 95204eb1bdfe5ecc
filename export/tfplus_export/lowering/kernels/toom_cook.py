"""Short convolutions with few multiplications: Toom-Cook's algorithm, in Winograd's form.

m outputs of a filter with r taps are the coefficients of a product of polynomials. That product is
known from its values in m + r − 1 points, and a value costs one multiplication:
y = Aᵀ((G·g) ⊙ (Bᵀ·d)) for the filter g and the m + r − 1 inputs d.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4; for the
points Vincent et al., "On Improving the Numerical Stability of Winograd Convolutions", ICLR 2017
workshop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

# Infinity is one more. Small numbers and their reciprocals lose the fewest digits.
_POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2"))
MOST_PRODUCTS = len(_POINTS) + 1


@dataclass(frozen=True)
class ShortConvolution:
    """The three matrices of F(m, r).

    Attributes:
      inputs: Bᵀ, [m + r − 1, m + r − 1].
      taps: G, [m + r − 1, r].
      outputs: Aᵀ, [m, m + r − 1].
    """

    inputs: np.ndarray
    taps: np.ndarray
    outputs: np.ndarray


def short_convolution(outputs: int, taps: int) -> ShortConvolution:
    """F(outputs, taps), computed exactly; `outputs + taps - 1` is at most `MOST_PRODUCTS`."""
    size = outputs + taps - 1
    evaluated = _powers(size, size)
    inputs = _inverse(evaluated).T
    filters = _powers(size, taps)
    for row, values in enumerate(inputs):
        # Whole numbers for the data, which are transformed most often; the filter takes the rest.
        scale = math.lcm(*(v.denominator for v in values))
        inputs[row] = values * scale
        filters[row] = filters[row] / scale
    return ShortConvolution(
        inputs.astype(np.float64),
        filters.astype(np.float64),
        _powers(size, outputs).T.astype(np.float64),
    )


def _powers(points: int, terms: int) -> np.ndarray:
    """[points, terms]: the powers of each point, infinity last, whose value is the last term."""
    rows = [[p**i for i in range(terms)] for p in _POINTS[: points - 1]]
    rows.append([Fraction(int(i == terms - 1)) for i in range(terms)])
    return np.array(rows, dtype=object)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Gauss and Jordan's elimination, in fractions."""
    size = len(matrix)
    ones = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    work = np.concatenate([matrix, np.array(ones, dtype=object)], 1)
    for column in range(size):
        pivot = next(i for i in range(column, size) if work[i, column] != 0)
        work[[column, pivot]] = work[[pivot, column]]
        work[column] = work[column] / work[column, column]
        for row in range(size):
            if row != column:
                work[row] = work[row] - work[column] * work[row, column]
    return work[:, size:]
