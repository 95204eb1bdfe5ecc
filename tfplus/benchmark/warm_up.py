"""Finds where warm-up ends in a series of times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_STANDARD_ERRORS = 4.0
# What is looked at is clipped here, in robust deviations: one preempted iteration is no change.
_CLIP = 5.0


def length(times_ms: Sequence[float]) -> int:
    """How many iterations at the beginning are warm-up, at most half of them.

    The first always is: it fills variables and packs weights. Beyond it, the rule MSER drops as
    many as make the standard error of what is left least, of logarithms; a cut counts only where
    what is before it differs clearly from what is behind.

    Args:
      times_ms: of one process, in the order of time, positive.

    References:
      White, "An effective truncation heuristic for bias reduction in simulation output",
      Simulation 69(6), 1997.
    """
    count = len(times_ms)
    if count < 2:
        return 0
    logs = np.log(np.asarray(times_ms[1:], np.float64))
    half = count // 2 - 1
    if half < 1:
        return 1
    # The second half is beyond warm-up by definition, and gives the scale.
    steady = logs[half:]
    middle = np.median(steady)
    spread = 1.4826 * np.median(np.abs(steady - middle)) + 1e-9
    # Never past a clear change, yet no single outlier outweighs all others.
    clipped = np.clip(logs, middle - _CLIP * spread, middle + _CLIP * spread)
    # Of the cuts behind which something clearly differs, the one that leaves the least error.
    cuts = [d for d in range(1, half + 1) if _differs(clipped[:d], clipped[d:], spread)]
    return 1 + min(cuts, key=lambda d: clipped[d:].var() / (len(clipped) - d), default=0)


def _differs(before: np.ndarray, after: np.ndarray, spread: float) -> bool:
    error = spread * np.sqrt(1 / len(before) + 1 / len(after))
    return bool(abs(before.mean() - after.mean()) > _STANDARD_ERRORS * error)
