"""What a process takes of the processor: what somebody typed, and the duty cycle."""

from __future__ import annotations

import os

import pytest

from tfplus.errors import UsageError
from tfplus.system.processor_use import EVERYTHING, ProcessorUse

OWN = sorted(os.sched_getaffinity(0))


def test_what_is_typed() -> None:
    assert ProcessorUse.parse("foreground", None, None) == EVERYTHING
    first = OWN[0]
    assert ProcessorUse.parse("background", f"{first}", "12.5%") == ProcessorUse(
        True, (first,), 0.125
    )
    if list(range(len(OWN))) == OWN and len(OWN) > 1:
        assert ProcessorUse.parse("foreground", f"0-{len(OWN) - 1}", None).cpus == tuple(OWN)


@pytest.mark.parametrize(
    ("priority", "cpus", "share", "message"),
    [
        ("idle", None, None, "foreground, background"),
        ("foreground", "2-", None, "such as 2-3"),
        ("foreground", "9999", None, "which this process has"),
        ("foreground", "3-2", None, "which this process has"),
        ("foreground", None, "0%", "1% to 100%"),
        ("foreground", None, "50", "1% to 100%"),
        ("foreground", None, "101%", "1% to 100%"),
    ],
)
def test_what_cannot_be(priority: str, cpus: str | None, share: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ProcessorUse.parse(priority, cpus, share)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_the_duty_cycle(share: float) -> None:
    now = computed = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    ask = ProcessorUse(share=share).paced(lambda: False, lambda: now, sleep)
    for step_s in (0.3, 0.01, 1.7, 0.3):
        now += step_s
        computed += step_s
        assert not ask()
    assert computed / now == pytest.approx(share)


def test_a_stop_in_a_pause() -> None:
    now = 0.0
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    ask = ProcessorUse(share=0.01).paced(stopped, lambda: now, sleep)
    now = 1.0
    assert ask()
    assert now < 1.5
    assert ProcessorUse().paced(stopped) is stopped
