"""Statistics on made-up data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.campaign import comparing, summary, warm_up

DRAWS = 1_000


def test_intervals_cover_the_true_median_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    samples = np.exp(rng.normal(0.0, 0.1, (DRAWS, 25)))
    low, high = summary.intervals(samples, seed=2).T
    covered = np.mean((low <= 1.0) & (high >= 1.0))
    assert 0.93 <= covered <= 0.97


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    sample = np.random.default_rng(3).lognormal(size=9)
    drawn = np.random.default_rng(0).integers(0, 9, (4_000, 9))
    medians = np.median(sample[drawn], axis=1)
    expected = np.quantile(medians, [0.025, 0.975])
    got = summary.intervals(sample[None], seed=0, resamples=4_000)[0]
    np.testing.assert_allclose(got, expected)


def test_compare_finds_nothing_in_nothing() -> None:
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(DRAWS):
        cells = rng.normal(10.0, 1.0, (4, 2, 8))
        corrected = comparing.holm([comparing.mann_whitney(a, b) for a, b in cells])
        wrong += min(corrected) <= comparing.ALPHA
    # Of 1,000 at 5 %, more than 65 would come once in fifty seeds.
    assert wrong <= 65


def test_compare_finds_a_fifth() -> None:
    rng = np.random.default_rng(6)
    found = [
        comparing.mann_whitney(rng.normal(10, 0.5, 8), rng.normal(12, 0.5, 8)) for _ in range(100)
    ]
    assert np.mean(np.asarray(found) < 0.01) > 0.95


def test_holm_by_hand() -> None:
    assert comparing.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert comparing.holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(("first", "second", "least"), [(3, 3, 0.1), (4, 4, 2 / 70), (1, 1, 1.0)])
def test_the_least_p_is_that_of_a_clean_separation(first: int, second: int, least: float) -> None:
    assert comparing.least_p(first, second) == pytest.approx(least)
    separated = comparing.mann_whitney(range(first), range(100, 100 + second))
    assert separated == pytest.approx(least)


@pytest.mark.parametrize("change", [2, 5, 10])
@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_warm_up_ends_at_the_change(change: int, factor: float) -> None:
    rng = np.random.default_rng(change)
    times = rng.normal(10.0, 0.1, 40)
    times[:change] *= factor
    assert abs(warm_up.length(times.tolist()) - change) <= 1


def test_steady_times_have_no_warm_up_but_the_first() -> None:
    rng = np.random.default_rng(9)
    lengths = [warm_up.length(rng.normal(10.0, 0.2, 30).tolist()) for _ in range(200)]
    assert np.mean(np.asarray(lengths) == 1) > 0.95
    spiked = rng.normal(10.0, 0.1, 30)
    spiked[20] = 500
    assert warm_up.length(spiked.tolist()) == 1
