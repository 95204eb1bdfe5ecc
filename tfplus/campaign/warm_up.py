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
    errors = [clipped[d:].var() / (len(clipped) - d) for d in range(half + 1)]
    # By chance a later start looks better still: take the first that is nearly as good.
    nearly = min(errors) * (1 + min(0.5, 20 / count))
    cut = next(d for d, error in enumerate(errors) if error <= nearly)
    if not cut:
        return 1
    before, after = clipped[:cut], clipped[cut:]
    error = max(after.std(), spread) * np.sqrt(1 / len(before) + 1 / len(after))
    return 1 + cut if abs(before.mean() - after.mean()) > _STANDARD_ERRORS * error else 1
