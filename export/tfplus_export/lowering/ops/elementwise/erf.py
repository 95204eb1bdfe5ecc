"""The error function and its complement, of which the exact GELU is made.

Which of the two depends on the version of Keras. The runtimes have no operator for either (GELU is
one, but its gradient needs the function itself).
Abramowitz & Stegun 7.1.26: for x >= 0, erfc(x) = (a1·t + … + a5·t⁵)·e^(−x²), t = 1 / (1 + p·x). Its
absolute error is at most 1.5e-7, and 6e-7 once computed in float32. The derivative, −2/√π·e^(−x²),
is exact.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import unary
from tfplus_export.tf_types import Tensor

_P = 0.3275911
_COEFFICIENTS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_LARGEST = float(np.finfo(np.float32).max)


def _erfc(x: Tensor) -> Tensor:
    sign, tail = _sign_and_tail(x)
    # erfc(−x) = 2 − erfc(x).
    return sign * tail + (1.0 - sign)


def _erf(x: Tensor) -> Tensor:
    sign, tail = _sign_and_tail(x)
    return sign * (1.0 - tail)


def _sign_and_tail(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of x, and erfc(|x|)."""
    t = 1.0 / (tf.abs(x) * _P + 1.0)
    polynomial = t * _COEFFICIENTS[0]
    for coefficient in _COEFFICIENTS[1:]:
        polynomial = (polynomial + coefficient) * t
    tail = polynomial * tf.exp(-(x * x))
    # SIGN is no operator that XNNPACK takes.
    sign = tf.maximum(tf.minimum(x * _LARGEST, 1.0), -1.0)
    return sign, tail


def _erfc_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return dy * (tf.exp(-(x * x)) * (-2.0 / math.sqrt(math.pi)))


def _erf_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return dy * (tf.exp(-(x * x)) * (2.0 / math.sqrt(math.pi)))


ERFC = unary(_erfc, _erfc_gradient)
ERF = unary(_erf, _erf_gradient)
