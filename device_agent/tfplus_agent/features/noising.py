"""What is done to features before they leave: each sample's clipped to a norm, then noise on it.

With clipping to a norm C, two samples' features differ by at most 2 C in the 2-norm; Gaussian noise
of deviation s · C on each feature is the Gaussian mechanism of sensitivity 2 C, once a sample
(local differential privacy). Labels are not covered. `accounting` says what that comes to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.errors import MissingExtraError, UsageError
from tfplus.features.sendings import Sending
from tfplus_agent.features import accounting

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
    def multiplier(self) -> float:
        """Deviation of the noise over the sensitivity; 0 for none."""
        return self.noise / 2

    @property
    def note(self) -> str:
        """For the log: what was done, and the privacy of one sending of a sample."""
        if self.clip is None:
            return ""
        text = f"clipped to {self.clip:g}"
        if not self.noise:
            return text
        try:
            epsilon = accounting.of_features([Sending(self.multiplier)])
            told = f"epsilon {epsilon:.3g} at delta {accounting.DELTA:g}"
        except MissingExtraError:
            told = "no epsilon without tfplus[privacy]"
        each = "for each time that a sample is sent, labels not covered"
        return f"{text}, noise {self.noise:g}: {told} {each}"


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
