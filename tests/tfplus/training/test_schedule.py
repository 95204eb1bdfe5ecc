"""Learning rates by step, against the formulas written down once more."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus.training import schedule
from tfplus.training.schedule import Rates, parse

PER_EPOCH, TOTAL = 7, 70


def rates_of(text: str, base: float = 0.5) -> list[float]:
    rates = Rates(parse(text), base)
    return [rates.at(step, PER_EPOCH, TOTAL) for step in range(TOTAL)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", lambda s: 1.0),
        ("linear:to=0.2", lambda s: 1 - 0.8 * s / TOTAL),
        ("cosine", lambda s: (1 + math.cos(math.pi * s / TOTAL)) / 2),
        ("cosine:to=0.1", lambda s: 0.1 + 0.9 * (1 + math.cos(math.pi * s / TOTAL)) / 2),
        ("exponential:factor=0.9", lambda s: 0.9 ** (s // PER_EPOCH)),
        ("step:every=3,factor=0.5", lambda s: 0.5 ** (s // PER_EPOCH // 3)),
        ("constant:warmup=10", lambda s: min(1.0, (s + 1) / 10)),
        (
            "linear:to=0,warmup=10",
            lambda s: (s + 1) / 10 if s < 10 else 1 - (s - 10) / (TOTAL - 10),
        ),
    ],
)
def test_rates_are_those_of_the_formula(text: str, expected: Callable[[int], float]) -> None:

    want = [0.5 * expected(step) for step in range(TOTAL)]
    np.testing.assert_allclose(rates_of(text), want, rtol=1e-6)
    # What is put into a float32 variable and read back is the same.
    assert all(rate == float(np.float32(rate)) for rate in rates_of(text))


def test_long_epochs_have_stairs_that_begin_anew_with_each() -> None:
    rates = Rates(parse("linear:to=0"), 1.0)
    found = [rates.at(step, 101, 303) for step in range(303)]
    changes = [s for s in range(1, 303) if found[s] != found[s - 1]]
    assert schedule.stair(101) == 6
    assert changes == [e * 101 + s for e in range(3) for s in range(0, 101, 6) if e or s]
    for epoch in range(3):
        stairs = rates.of_epoch(epoch, 101, 303)
        assert [stairs[place // 6] for place in range(101)] == found[epoch * 101 :][:101]


@pytest.mark.parametrize(
    "text",
    [
        "cosin",
        "cosine:factor=2",
        "cosine:to",
        "cosine:to=2",
        "cosine:to=0.1,to=0.2",
        "step:factor=0.5",
        "exponential",
        "step:every=0,factor=1",
        "step:every=1.5,factor=1",
        "linear:to=nan",
        "constant:warmup=-1",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="schedule '"):
        parse(text)
