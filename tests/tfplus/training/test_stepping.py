"""When a loss is read, and what is made of the times in between."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfplus.data.device_data import Batch
from tfplus.training import stepping
from tfplus.training.stepping import Stepper


class Gpu:
    """Takes a step in no time, and waits for it when its loss is read."""

    accelerator = "gpu"
    runs_ahead = True

    def __init__(self, clock: list[float], tell_s: float, step_s: list[float]) -> None:
        self.manifest: Any = SimpleNamespace(
            signatures={"train": SimpleNamespace(outputs={"loss": None})}
        )
        self._clock, self._tell_s, self._step_s = clock, tell_s, step_s
        self._waiting_s = 0.0

    def step(self, batch: Any) -> None:
        self._clock[0] += self._tell_s
        self._waiting_s += self._step_s.pop(0)

    def metrics(self) -> dict[str, float]:
        self._clock[0] += self._waiting_s
        self._waiting_s = 0.0
        return {"loss": 2.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(stepping.time, "perf_counter", lambda: now[0])
    return now


def reads(steps: Stepper, count: int) -> list[int]:
    """The steps after which the loss was read."""
    found: list[int] = []
    for number in range(1, count + 1):
        steps.take(Batch({}, {}, {}, 3))
        if not steps.unread:
            found.append(number)
    return found


def test_times_between_two_reads_are_their_mean(clock: list[float]) -> None:
    steps = Stepper(Gpu(clock, 0.5, [1.0, 1.0, 2.0, 3.0]), 3)
    assert reads(steps, 4) == [1, 4]
    np.testing.assert_allclose(steps.times_ms, [1500.0, 2500.0, 2500.0, 2500.0])
    assert (steps.samples, steps.read_samples, steps.sums) == (12, 6, {"loss": 12.0})


def test_a_wait_stays_below_what_silence_a_daemon_allows(clock: list[float]) -> None:
    # From the second read on a step is known to take 4 s: two of them are 8 s.
    steps = Stepper(Gpu(clock, 0.0, [0.1, *[4.0] * 10]), 3)
    assert reads(steps, 8) == [1, 4, 6, 8]
    # Longer ones are read one by one.
    assert reads(Stepper(Gpu(clock, 0.0, [30.0] * 4), 100), 4) == [1, 2, 3, 4]
