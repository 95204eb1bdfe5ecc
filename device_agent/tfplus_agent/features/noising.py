"""What is done to features before they leave: each sample's clipped to a norm, then noise on it.

With clipping to a norm C, two samples' features differ by at most 2 C in the 2-norm; Gaussian noise
of deviation s · C on each feature is the Gaussian mechanism of sensitivity 2 C, once a sample
(local differential privacy). Labels are not covered.

Source:
  Balle and Wang, Improving the Gaussian Mechanism for Differential Privacy, ICML 2018, Theorem 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.errors import UsageError

DELTA = 1e-5
_MOST_EPSILON = 1e6

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """What becomes of features.

    Attributes:
      clip: largest 2-norm of a sample's features; None for any.
      noise: deviation on each feature, in units of `clip`; 0 for none.
      rng: draws it.
    """

    clip: float | None
    noise: float
    rng: np.random.Generator

    def apply(self, rows: Rows) -> Rows:
        """Features [n, ...] as they leave."""
        if self.clip is None:
            return rows
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        norms = np.linalg.norm(flat, axis=1, keepdims=True)
        flat *= np.minimum(1.0, self.clip / np.maximum(norms, 1e-30))
        flat += self.rng.normal(0.0, 1.0, flat.shape) * self.noise * self.clip
        return flat.reshape(rows.shape).astype(np.float32)

    @property
    def note(self) -> str:
        """For the log: what was done, and the privacy of one sending of a sample."""
        if self.clip is None:
            return ""
        text = f"clipped to {self.clip:g}"
        if self.noise:
            text += (
                f", noise {self.noise:g}: epsilon {epsilon(self.noise / 2, DELTA):.3g} at delta "
                f"{DELTA:g} for each time that a sample is sent, labels not covered"
            )
        return text


def of(clip: float | None, noise: float | None, rng: np.random.Generator) -> Change:
    """What two options ask for.

    Raises:
      UsageError: noise without clipping, which bounds nothing.
    """
    if noise and not clip:
        raise UsageError("--noise: expected --clip, too: without it noise bounds nothing")
    if clip is not None and clip <= 0:
        raise UsageError(f"--clip {clip:g}: expected more than 0")
    return Change(clip, noise or 0.0, rng)


def epsilon(multiplier: float, delta: float) -> float:
    """The smallest epsilon of the Gaussian mechanism.

    Args:
      multiplier: deviation of the noise over the sensitivity.
      delta: between 0 and 1.

    Examples:
      >>> from tfplus_agent.features.noising import epsilon
      >>> round(epsilon(1.0, 1e-5), 2)
      4.38
    """
    low, high = 0.0, 1.0
    while _delta(multiplier, high) > delta:
        low, high = high, 2 * high
        if high > _MOST_EPSILON:
            return math.inf
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(multiplier, middle) > delta else (low, middle)
    return high


def _delta(multiplier: float, eps: float) -> float:
    """Theorem 8: Phi(1/(2s) - eps s) - exp(eps) Phi(-1/(2s) - eps s)."""
    a, b = 0.5 / multiplier, eps * multiplier
    tail = _log_normal_cdf(-a - b)
    return _normal_cdf(a - b) - math.exp(min(700.0, eps + tail))


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _log_normal_cdf(x: float) -> float:
    found = _normal_cdf(x)
    if found > 0:
        return math.log(found)
    # Far out in the tail: the leading term of its asymptotic series.
    return -0.5 * x * x - math.log(-x * math.sqrt(2 * math.pi))
