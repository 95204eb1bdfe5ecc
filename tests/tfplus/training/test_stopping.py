"""When to measure and when to stop, against Keras' rule written as a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus.training.stopping import EarlyStopping, Progress, Validation


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        (Validation(every_epochs=2), [20, 40, 55]),
        (Validation(every_steps=15), [15, 30, 45, 55]),
        (Validation(1, 15), [10, 15, 20, 30, 40, 45, 50, 55]),
        (Validation(), []),
    ],
)
def test_measured_when_due_and_at_the_end(validation: Validation, expected: list[int]) -> None:
    due = [s for s in range(56) if validation and validation.due(s, 10, 55)]
    assert due == expected
    for step in range(55):
        ahead = [s for s in [*expected, 55] if s > step]
        assert validation.after(step, 10, 55) == ahead[0]


def by_keras(values: list[float], patience: int, delta: float, sign: int) -> tuple[int, int]:
    """Where Keras' EarlyStopping stops and what was best, as its documentation has it."""
    best, best_at, wait = math.inf, 0, 0
    for at, value in enumerate(values, 1):
        if sign * value < best - delta:
            best, best_at, wait = sign * value, at, 0
            continue
        wait += 1
        if wait >= patience:
            return at, best_at
    return 0, best_at


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "val_mae"])
def test_it_stops_where_keras_does(monitor: str) -> None:
    rng = np.random.default_rng(5)
    sign = -1 if monitor == "accuracy" else 1
    for _ in range(200):
        values = [float(v) for v in rng.integers(0, 12, 20) / 10]
        patience, delta = int(rng.integers(0, 5)), float(rng.choice([0.0, 0.15]))
        rule, progress, stopped = EarlyStopping(monitor, patience, delta), Progress(), 0
        for at, value in enumerate(values, 1):
            progress = rule.judged(progress, at, value)
            if rule.stops(progress):
                stopped = at
                break
        assert (stopped, progress.best_step) == by_keras(values, patience, delta, sign)


def test_what_is_no_number_is_never_better() -> None:
    rule = EarlyStopping(patience=2)
    progress = rule.judged(Progress(), 1, math.nan)
    assert (progress.best_step, progress.waited) == (0, 1)
    progress = rule.judged(progress, 2, 5.0)
    assert progress == Progress(5.0, 2, 0)
    for step in (3, 4):
        progress = rule.judged(progress, step, math.nan)
    assert rule.stops(progress)


def test_what_was_not_measured_is_named() -> None:
    with pytest.raises(UsageError, match=r"watches 'auc': expected one of \['accuracy', 'loss'\]"):
        EarlyStopping("auc").of({"loss": 1.0, "accuracy": 0.5})
    with pytest.raises(UsageError, match="min_delta"):
        EarlyStopping(min_delta=math.nan)
