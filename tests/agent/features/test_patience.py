"""Trying again: how long is waited, and when it is given up."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.errors import RemoteError, UnreachableError
from tfplus_agent.features.patience import with_retries


class Time:
    def __init__(self) -> None:
        self.now_s, self.waits = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


def attempt(failures: int, for_s: float, error: type[Exception] = UnreachableError) -> Time:
    time, left = Time(), [failures]

    def work() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error("gone")
        return "done"

    rng = np.random.default_rng(0)
    assert with_retries(work, for_s, rng, sleep=time.sleep, clock=time.clock) == "done"
    return time


def test_waits_grow_and_are_drawn() -> None:
    waits = attempt(12, 1e6).waits
    assert len(waits) == 12
    bounds = [1, 2, 4, 8, 16, 32, *[60] * 6]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert max(waits) > 20
    assert len(set(waits)) == 12


def test_the_time_is_up() -> None:
    assert attempt(0, 0.0).waits == []
    with pytest.raises(UnreachableError):
        attempt(1, 0.0)
    with pytest.raises(UnreachableError):
        attempt(10**6, 30.0)


def test_a_refusal_is_final() -> None:
    with pytest.raises(RemoteError):
        attempt(1, 1e6, RemoteError)
