"""Statistics on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tfplus.benchmark import warm_up
from tfplus.campaign import comparing, summary
from tfplus.measure import ratios
from tfplus.measure.result import Repetition


@pytest.mark.parametrize("repetitions", [6, 9, 15, 30])
def test_intervals_hold_the_true_median_as_often_as_they_say(repetitions: int) -> None:
    draw = np.random.default_rng(repetitions)
    # Skewed, as times are; the median of exp(normal) is 1.
    samples = 10.0 * np.exp(0.1 * draw.standard_normal((10_000, repetitions)))
    ends = summary.intervals(samples)
    held = np.mean((ends[:, 0] <= 10.0) & (ends[:, 1] >= 10.0))
    assert 0.93 <= held <= 0.97


def test_the_interval_of_few_numbers_is_their_range() -> None:
    assert summary.interval([3.0, 1.0, 2.0, 9.0, 5.0]) == (1.0, 9.0)
    assert summary.interval([4.0]) == (4.0, 4.0)


@pytest.mark.parametrize("repetitions", [6, 10, 20])
def test_the_bootstrap_of_a_ratio_holds_the_truth(repetitions: int) -> None:
    draw = np.random.default_rng(repetitions)
    held = 0
    for seed in range(1000):
        first, second = 10.0 * np.exp(0.1 * draw.standard_normal((2, repetitions)))
        found = ratios.of_medians(first, second, seed=seed, resamples=500)
        held += found.low <= 1.0 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_compare_finds_a_difference_where_there_is_none_in_at_most_a_twentieth() -> None:
    """Of 1,000 pairs of campaigns with 8 cells and no difference, few show any."""
    draw = np.random.default_rng(2)
    first, second = draw.lognormal(0, 0.1, (2, 1000, 8, 10))
    raw = stats.mannwhitneyu(first, second, axis=2).pvalue
    assert raw[0, 0] == pytest.approx(comparing.mann_whitney(first[0, 0], second[0, 0]))
    corrected = np.asarray([comparing.holm(row) for row in raw])
    assert np.mean(corrected.min(axis=1) <= comparing.ALPHA) <= 0.05
    # Without the correction a third of them would.
    assert np.mean(raw.min(axis=1) <= comparing.ALPHA) > 0.25


def test_holm_on_a_known_case() -> None:
    assert comparing.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_least_p_is_what_the_test_gives_for_samples_apart() -> None:
    for size in (3, 5, 8):
        apart = comparing.mann_whitney(range(size), range(100, 100 + size))
        assert comparing.least_p(size, size) == pytest.approx(apart)


@pytest.mark.parametrize("change", [1, 3, 6, 10])
def test_warm_up_ends_at_a_known_change(change: int) -> None:
    """200 series of 40, 20 % slower up to the change; noise of 2 %, one iteration preempted."""
    draw = np.random.default_rng(change)
    ends = []
    for _ in range(200):
        times = 10.0 * np.exp(0.02 * draw.standard_normal(40))
        times[:change] *= 1.2
        times[30] *= 3
        ends.append(warm_up.length(times.tolist()))
    assert np.mean(np.abs(np.asarray(ends) - change) <= 1) >= 0.95


def test_warm_up_of_short_series() -> None:
    assert [warm_up.length([5.0] * n) for n in (0, 1, 2, 3, 4)] == [0, 0, 1, 1, 1]


def test_verdicts() -> None:
    from tfplus.measure.result import Block, Configuration

    ran = Configuration("w", "s", "r")
    good = [Repetition(ran, i, True, (Block(i, 1, False, (1.0,)),)) for i in range(5)]
    assert summary.reasons(good, [0.01] * 5, 0.1) == ()
    assert summary.reasons(good, [0.3, 0.01, 0, 0, 0], 0.1) == ()
    (drift,) = summary.reasons(good, [0.3, -0.3, 0, 0, 0], 0.1)
    assert drift == "drift: the reference moved by more than 10% in 2 of 5 blocks"
    (few,) = summary.reasons(good[:4], [0.0] * 4, 0.1)
    assert few == "too few repetitions (4 of at least 5)"
    failed = [*good[:4], Repetition(ran, 4, absent={"iteration_ms": "did not end"})]
    assert summary.reasons(failed, [0.0] * 5, 0.1)[0] == "did not end"
    assert "drift unknown" in summary.reasons(good, [None] * 5, 0.1)[0]
