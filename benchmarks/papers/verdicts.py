"""Means over seeds with their intervals, and whether a claim holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from papers.experiments import Claim
from papers.learning import last

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with Student's interval; its half-width is None of a single seed."""

    mean: float
    half: float | None

    def text(self, unit: float = 100.0) -> str:
        """Mean and half-width, in percent."""
        wide = "" if self.half is None else f" ± {self.half * unit:.1f}"
        return f"{self.mean * unit:.1f}{wide}"


def interval(values: Sequence[float]) -> Interval:
    """Of one value a seed."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return Interval(float(found.mean()), None)
    error = found.std(ddof=1) / np.sqrt(len(found))
    return Interval(
        float(found.mean()), float(stats.t.ppf((1 + LEVEL) / 2, len(found) - 1) * error)
    )


def reached(curve: dict[str, Any], rounds: int, what: str = "whole") -> float:
    """Accuracy after so many rounds: the mean of the last of them, as `learning.last` says."""
    several = last(rounds)
    return float(np.mean(curve[what][rounds - several + 1 : rounds + 1]))


def rounds_of(curve: dict[str, Any]) -> int:
    """How many there were; the first value is the start's."""
    return len(curve["whole"]) - 1


def affordable(curve: dict[str, Any], budget: float) -> int:
    """How many whole rounds a budget of products pays for, all of them at most."""
    return int(max(0, min(rounds_of(curve), (budget - curve["once"]) // curve["flops"])))


def spent(curve: dict[str, Any]) -> float:
    """Products of a device over all rounds, the average left out."""
    return curve["once"] + rounds_of(curve) * curve["flops"]


def differences(claim: Claim, seeds: Sequence[dict[str, Any]]) -> list[float]:
    """How far the one is ahead of the other, of each seed."""
    found: list[float] = []
    for curves in seeds:
        pair = curves[claim.one], curves[claim.other]
        if claim.calibrated:
            found.append(pair[0]["calibrated"] - pair[1]["calibrated"])
            continue
        ends = [rounds_of(c) for c in pair]
        if claim.same_computation:
            budget = min(spent(c) for c in pair)
            ends = [affordable(c, budget) for c in pair]
        one, other = (reached(c, n) for c, n in zip(pair, ends, strict=True))
        found.append(one - other)
    return found


def verdict(claim: Claim, seeds: Sequence[dict[str, Any]]) -> str:
    """Whether it holds, in words, with the difference that was found."""
    if any(claim.one not in curves or claim.other not in curves for curves in seeds):
        return "not measured here"
    found = interval(differences(claim, seeds))
    points = f"{found.mean * 100:+.1f}"
    if found.half is None:
        side = "holds" if found.mean >= claim.least else "does not hold"
        return f"{side} on the one seed ({points} points)"
    said = f"({points} ± {found.half * 100:.1f} points, {len(seeds)} seeds)"
    if found.mean - found.half >= claim.least:
        return f"holds {said}"
    if found.mean + found.half < claim.least:
        return f"does not hold {said}"
    side = "for it" if found.mean >= claim.least else "against it"
    return f"not settled; the mean speaks {side} {said}"
