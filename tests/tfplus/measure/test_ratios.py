"""Ratios and their intervals, on data whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfplus.errors import DataError
from tfplus.measure import ratios
from tfplus.measure.result import Block


def blocks(*times_ms: list[float], warm_up: float | None = None) -> tuple[Block, ...]:
    counted = [Block(i, 0, False, tuple(times)) for i, times in enumerate(times_ms)]
    return (*([] if warm_up is None else [Block(0, 0, True, (warm_up,))]), *counted)


def test_a_slower_machine_cancels_within_blocks() -> None:
    # The machine slows down threefold; the first system takes 1.5 times the second throughout.
    pace = (1.0, 1.7, 3.0)
    first = blocks(*([1.5 * p, 1.5 * p, 99.0 * p] for p in pace), warm_up=1e6)
    second = blocks(*([1.0 * p] for p in pace))
    assert ratios.within_blocks(first, second) == pytest.approx([1.5, 1.5, 1.5])
    assert ratios.time_ratio(first, second) == pytest.approx(1.5)
    found = ratios.of_blocks(first, second)
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))


def test_blocks_are_matched_by_number() -> None:
    first, second = blocks([2.0], [8.0]), blocks([1.0], [2.0])
    assert ratios.within_blocks(first[1:], second) == [4.0]
    with pytest.raises(DataError, match="no block in common"):
        ratios.within_blocks(first[1:], second[:1])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 200 pairs of samples whose medians are in the ratio 1.2, about 95 % hold it.

    With 15 repetitions the percentile bootstrap of a median is a little too wide or too narrow;
    a wrong one, such as of half the level or of the data's own spread, is far outside.
    """
    draw = np.random.default_rng(7)
    held, widths = 0, []
    for seed in range(200):
        first = 12.0 * np.exp(0.1 * draw.standard_normal(15))
        second = 10.0 * np.exp(0.1 * draw.standard_normal(15))
        found = ratios.of_medians(first.tolist(), second.tolist(), seed=seed, resamples=400)
        held += found.low <= 1.2 <= found.high
        widths.append(math.log(found.high / found.low))
    assert 0.90 <= held / 200 <= 0.995
    # 2 · 1.96 standard errors: each median has 1.25 σ / √n.
    expected = 2 * 1.96 * 1.2533 * 0.1 * math.sqrt(2 / 15)
    assert float(np.median(widths)) == pytest.approx(expected, rel=0.25)


def test_no_difference_is_not_found_where_there_is_none() -> None:
    draw = np.random.default_rng(1)
    sample = np.exp(0.05 * draw.standard_normal(30)).tolist()
    found = ratios.of_medians(sample, sample)
    assert found.value == 1.0
    assert found.low < 1.0 < found.high


def test_the_same_seed_gives_the_same_interval() -> None:
    draw = np.random.default_rng(2)
    first, second = draw.uniform(1, 2, (2, 9)).tolist()
    one = ratios.of_medians(first, second, seed=5)
    assert one == ratios.of_medians(first, second, seed=5)
    assert one != ratios.of_medians(first, second, seed=6)
    turned = ratios.of_medians(second, first, seed=5)
    assert turned.value == pytest.approx(1 / one.value)
    narrow = ratios.of_medians(first, second, seed=5, level=0.5)
    assert one.low < narrow.low < narrow.high < one.high


def test_one_repetition_gives_no_width() -> None:
    found = ratios.of_medians([3.0], [2.0])
    assert (found.low, found.value, found.high) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize("times", [[], [1.0, 0.0], [1.0, math.nan], [math.inf], [-1.0]])
def test_what_is_no_time_is_refused(times: list[float]) -> None:
    with pytest.raises(DataError, match="expected positive times"):
        ratios.of_medians(times, [1.0])
    with pytest.raises(DataError, match="expected positive times"):
        ratios.of_medians([1.0], times)
