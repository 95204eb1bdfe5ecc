"""The choice of a freeze point, against cases worked out by hand."""

from __future__ import annotations

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
    choice = one_standard_error(points)
    assert choice.place == place
    assert why in choice.why
    assert choice.why.startswith(f"'{points[place].layer}': {points[place].accuracy:.3f} of 100")
