"""The table of the comparison's decisions, line by line."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from tfplus_export.parity.errors.step_error import EXACT
from tfplus_export.parity.policy import (
    FURTHER,
    AmplifiedStep,
    Evidence,
    Float64,
    FurtherStep,
    Step,
    next_check,
    short_rows,
)

START = Evidence(
    batch_size=12,
    rows=2,
    steps_asked=3,
    steps=0,
    hidden=False,
    amplified=0,
    unseen=False,
    within=True,
    float64_asked=False,
    float64=None,
    holds=True,
    further=0,
)
DONE = replace(START, steps=3)
OFF = replace(DONE, within=False, holds=False)
ASKED = replace(OFF, float64_asked=True)


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        # The first is warmed, and runs without XNNPACK; the last is full.
        (START, Step(rows=2, first=4, without_xnnpack=True, warm_up=True)),
        (replace(START, steps=1), Step(2, 8, without_xnnpack=False, warm_up=False)),
        (replace(START, steps=2), Step(12, 12, without_xnnpack=False, warm_up=False)),
        (replace(START, steps_asked=1), Step(12, 12, without_xnnpack=True, warm_up=True)),
        # Whatever is off, the steps come first.
        (replace(OFF, steps=1, hidden=True, unseen=True), Step(2, 8, False, False)),
        # All is well.
        (DONE, None),
        (replace(DONE, amplified=2, hidden=True), None),
        # Hidden updates are amplified before anything is judged by them.
        (replace(DONE, hidden=True), AmplifiedStep("initial", 0, True)),
        (replace(OFF, hidden=True, amplified=1), AmplifiedStep("trained", 1, False)),
        (replace(OFF, hidden=True, amplified=2), Float64()),
        (replace(DONE, hidden=True, amplified=2, unseen=True), Float64()),
        (OFF, Float64()),
        # Float64 knows nothing, or finds the step right: further steps decide.
        (ASKED, FurtherStep(2, 2)),
        (replace(ASKED, float64=EXACT / 2), FurtherStep(2, 2)),
        # All of them, even where the first of them mends the median.
        (replace(ASKED, float64=0.0, holds=True, within=True, further=1), FurtherStep(2, 6)),
        (replace(ASKED, float64=0.0, further=2), FurtherStep(2, 10)),
        (replace(ASKED, float64=0.0, further=FURTHER), None),
        # What float64 refutes, no further step saves.
        (replace(ASKED, float64=2 * EXACT), None),
        (replace(ASKED, float64=nan), None),
        # Float64 leaves it more than the tolerance.
        (replace(ASKED, float64=0.0, holds=True), None),
        # Outputs alone are off: there is no gradient to ask float64 about.
        (replace(DONE, holds=False), FurtherStep(2, 2)),
    ],
)
def test_next_check(known: Evidence, wanted: object) -> None:
    assert next_check(known) == wanted


def test_every_comparison_ends() -> None:
    """Even one in which everything is off."""
    known, taken = replace(START, hidden=True, within=False, holds=False, unseen=True), []
    while (check := next_check(known)) is not None:
        taken.append(type(check))
        if isinstance(check, Float64):
            known = replace(known, float64_asked=True)
        else:
            count = {Step: "steps", AmplifiedStep: "amplified", FurtherStep: "further"}[type(check)]
            known = replace(known, **{count: getattr(known, count) + 1})
    assert taken == [*[Step] * 3, *[AmplifiedStep] * 2, Float64, *[FurtherStep] * FURTHER]


@pytest.mark.parametrize(
    ("batch", "dependent", "noise", "rows"),
    [
        (32, False, False, 2),
        (1, False, True, 1),
        (32, True, False, 8),
        # The smallest divisor from 8 on; else all.
        (27, True, False, 9),
        (31, True, False, 31),
        (32, True, True, 32),
    ],
)
def test_short_rows(batch: int, dependent: bool, noise: bool, rows: int) -> None:
    assert short_rows(batch, batch_dependent=dependent, draws_noise=noise) == rows
