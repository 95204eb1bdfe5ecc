"""How fast a peer may call: against a count of tokens by hand, on a clock that stands still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus_agent.server.callers import rates
from tfplus_agent.server.callers.admission import TooManyCallsError
from tfplus_agent.server.callers.rates import RATES, Rate, RateLimits


def limits(now: list[float], reader: Rate) -> RateLimits:
    return RateLimits({**RATES, "reader": reader}, lambda: now[0])


def may(held: RateLimits, peer: str = "phone") -> bool:
    try:
        held.take("reader", peer)
    except TooManyCallsError:
        return False
    return True


def test_a_burst_then_its_rate_and_nobody_pays_for_another() -> None:
    now = [100.0]
    held = limits(now, Rate(2, 5))
    assert [may(held) for _ in range(7)] == [True] * 5 + [False] * 2
    assert may(held, "desk")
    now[0] += 0.5
    assert [may(held), may(held)] == [True, False]
    now[0] += 1000
    assert [may(held) for _ in range(6)] == [True] * 5 + [False]
    with pytest.raises(TooManyCallsError, match=r"a reader .* 2 times a second: wait 0.5"):
        held.take("reader", "phone")
    held.take("owner", "phone")


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 20), st.integers(1, 10))
def test_no_pattern_of_calls_gets_more_than_burst_and_rate(
    waits: list[float], per_s: float, burst: int
) -> None:
    now = [0.0]
    held, taken = limits(now, Rate(per_s, burst)), list[float]()
    for wait in waits:
        now[0] += wait
        if may(held):
            taken.append(now[0])
    for i, first in enumerate(taken):
        for j, last in enumerate(taken[i:]):
            assert j + 1 <= burst + (last - first) * per_s + 1e-6


def test_those_who_are_long_gone_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_BUCKETS", 10)
    now = [0.0]
    held = limits(now, Rate(1, 2))
    for number in range(100):
        now[0] += 5
        assert may(held, str(number))
    assert len(held._left) <= 12
    assert [may(held, "99"), may(held, "99")] == [True, False]


def test_who_only_looks_may_least() -> None:
    assert RATES["reader"].per_s < RATES["peer"].per_s < RATES["owner"].per_s
