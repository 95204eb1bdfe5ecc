"""How much longer one system takes than another, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.errors import DataError
from tfplus.measure.result import Block

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Ratio:
    """A ratio with its interval.

    Attributes:
      value: above 1 the first of the two takes longer.
      low: lower end of the interval.
      high: upper end.
      level: how often such an interval holds the true ratio; 0.95 is 95 %.
    """

    value: float
    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        """Such as `1.26 [1.24, 1.29]`."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def within_blocks(times: Sequence[Block], reference: Sequence[Block]) -> list[float]:
    """The ratio of the medians in each block that both systems have; warm-up is left out.

    Args:
      times: blocks of one system.
      reference: those of the other.

    Raises:
      DataError: they have no block in common.
    """
    others = {block.number: block for block in reference if not block.is_warm_up}
    pairs = [(b, others[b.number]) for b in times if not b.is_warm_up and b.number in others]
    if not pairs:
        raise DataError("the two systems have no block in common: measure them in alternation")
    return [block.median_ms / other.median_ms for block, other in pairs]


def time_ratio(times: Sequence[Block], reference: Sequence[Block]) -> float:
    """The median over the blocks of `within_blocks`."""
    return statistics.median(within_blocks(times, reference))


def of_medians(
    times: Sequence[float],
    reference: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Ratio:
    """The ratio of two medians with a bootstrap interval.

    Both samples are drawn anew with replacement, each for itself, as often as `resamples` says; the
    interval's ends are quantiles of the ratios found so (the percentile bootstrap). A sample of one
    gives an interval without width: that is no certainty but a lack of repetitions.

    Args:
      times: one number a repetition, positive.
      reference: likewise of the other system.
      seed: of the draws; the same seed gives the same interval.
      resamples: how many draws.
      level: of the interval, between 0 and 1.

    Raises:
      DataError: a sample is empty, or holds what is not positive and finite.

    References:
      Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    first, second = _sample(times), _sample(reference)
    draw = np.random.default_rng(seed)
    ratios = _medians(first, draw, resamples) / _medians(second, draw, resamples)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    value = np.median(first) / np.median(second)
    return Ratio(float(value), float(low), float(high), level)


def of_blocks(
    times: Sequence[Block],
    reference: Sequence[Block],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Ratio:
    """The median of the ratios within blocks, with a bootstrap interval over the blocks.

    The interval is of these processes alone: what differs from process to process, such as where
    memory lies, is the same in all blocks. Repetitions and `of_medians` show that, too.

    Args:
      times: blocks of one system.
      reference: those of the other, in alternation.
      seed: of the draws.
      resamples: how many draws.
      level: of the interval.

    Raises:
      DataError: they have no block in common.
    """
    ratios = _sample(within_blocks(times, reference))
    drawn = _medians(ratios, np.random.default_rng(seed), resamples)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Ratio(float(np.median(ratios)), float(low), float(high), level)


def _medians(sample: np.ndarray, draw: np.random.Generator, resamples: int) -> np.ndarray:
    return np.median(draw.choice(sample, (resamples, len(sample))), axis=1)


def _sample(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, np.float64)
    if not len(sample) or not np.all(np.isfinite(sample)) or np.any(sample <= 0):
        raise DataError(f"expected positive times, at least one, got {list(values)[:5]}")
    return sample
