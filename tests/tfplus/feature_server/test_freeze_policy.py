"""The choice of a freeze point, against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.feature_server.freeze_policy import Point, one_standard_error


def point(layer: str, accuracy: float, size: int, *, loss: float = 1.0, s: float = 1.0) -> Point:
    return Point(layer, accuracy, loss, 100, size, s)


# Of 100 samples with 0.9 right, one standard error is 0.03.
@pytest.mark.parametrize(
    ("points", "place", "why"),
    [
        ([point("a", 0.9, 400)], 0, "the best"),
        ([point("a", 0.9, 400), point("b", 0.87, 100)], 1, "'a' (0.900, 400 bytes), is no more"),
        ([point("a", 0.9, 400), point("b", 0.86, 100)], 0, "the best"),
        # The cheaper one is better, too.
        ([point("a", 0.85, 400), point("b", 0.9, 100)], 1, "the best"),
        # Of equal bytes the shorter training, then the first.
        ([point("a", 0.9, 100, s=2), point("b", 0.9, 100, s=1)], 1, "one standard error"),
        ([point("a", 0.9, 100), point("b", 0.9, 100)], 0, "the cheapest of 2 good"),
        # Nobody is wrong: there is no error, and only equals are as good.
        ([point("a", 1.0, 400), point("b", 0.99, 100)], 0, "the best"),
        ([point("a", 1.0, 400, loss=0.1), point("b", 1.0, 100)], 1, "0.000) above it"),
        ([point("a", 0.0, 400), point("b", 0.0, 100)], 1, "0.000"),
    ],
)
def test_the_cheapest_that_is_not_surely_worse(points: list[Point], place: int, why: str) -> None:
    # From a point that is far below all others, and dearer.
    worst = point("now", -1.0, 800)
    choice = one_standard_error([*points, worst], len(points))
    assert choice.place == place
    assert why in choice.why
    assert choice.why.startswith(f"'{points[place].layer}': {points[place].accuracy:.3f} of 100")


# Two standard errors and one sample of 0.9 are 0.07.
@pytest.mark.parametrize(
    ("early", "late", "current", "place", "why"),
    [
        # Left for a cheaper one within one standard error, not for one between the thresholds.
        (0.9, 0.87, 0, 1, "one standard error"),
        (0.9, 0.86, 0, 0, "the best"),
        # The cheaper one stays up to the second threshold.
        (0.9, 0.86, 1, 1, "it stays: the best, 'early' (0.900, 400 bytes)"),
        (0.9, 0.83, 1, 1, "it stays"),
        (0.9, 0.82, 1, 0, "the best"),
        # Where nobody is wrong one sample is nothing.
        (1.0, 0.99, 1, 1, "it stays"),
        (1.0, 0.98, 1, 0, "the best"),
    ],
)
def test_who_is_published_is_left_for_a_reason(
    early: float, late: float, current: int, place: int, why: str
) -> None:
    choice = one_standard_error([point("early", early, 400), point("late", late, 100)], current)
    assert choice.place == place
    assert why in choice.why


def test_equal_ones_do_not_take_turns() -> None:
    points = [point("a", 0.9, 100, s=2), point("b", 0.9, 100, s=1), point("c", 0.9, 100)]
    assert [one_standard_error(points, current).place for current in range(3)] == [0, 1, 2]


def test_noise_around_a_threshold_moves_it_once() -> None:
    gaps = 0.03 + np.random.default_rng(0).normal(0, 0.01, 200)
    place, moves, alone = 0, 0, set[int]()
    for gap in gaps:
        points = [point("early", 0.9, 400), point("late", 0.9 - gap, 100)]
        chosen = one_standard_error(points, place).place
        moves += chosen != place
        place = chosen
        alone.add(one_standard_error(points, 0).place)
    # Without a memory it would be now the one and now the other.
    assert alone == {0, 1}
    assert moves == 1
