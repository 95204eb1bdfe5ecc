"""Energy against closed forms, on made-up sensors whose truth is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus_agent.telemetry import energy
from tfplus_agent.telemetry.energy import Snapshot
from tfplus_agent.telemetry.sensor import Reading

POWER = "battery_power_watts"
COUNTER = "package_energy_joules"


def powers(times: list[float], watts: list[float]) -> list[Snapshot]:
    return [Snapshot.of(t, [Reading(POWER, w)]) for t, w in zip(times, watts, strict=True)]


@given(st.floats(0.1, 50), st.lists(st.floats(0.01, 5), min_size=1, max_size=40))
def test_a_constant_power_whatever_the_times(watts: float, steps: list[float]) -> None:
    times = [sum(steps[:i]) for i in range(len(steps) + 1)]
    (found,) = energy.over(powers(times, [watts] * len(times)))
    assert found.joules == pytest.approx(watts * times[-1], rel=1e-9)
    assert found.kind == "integrated"
    assert found.readings == len(times)


def test_a_ramp_is_a_triangle() -> None:
    (found,) = energy.over(powers([0, 1, 4, 10], [0, 1, 4, 10]))
    assert found.joules == pytest.approx(50)


def test_a_sine_within_one_percent_at_twenty_readings_a_period() -> None:
    times = [i / 20 for i in range(201)]
    (found,) = energy.over(powers(times, [5 + 3 * math.sin(2 * math.pi * t) for t in times]))
    assert found.joules == pytest.approx(50, rel=0.01)


def test_what_lies_above_an_idle_device() -> None:
    idle = powers([0, 5, 10], [2, 2, 2])
    (found,) = energy.over(powers([10, 20], [6, 6]), idle)
    assert found.idle_watts == pytest.approx(2)
    assert found.joules_above_idle == pytest.approx(40)
    (alone,) = energy.over(powers([10, 20], [6, 6]))
    assert alone.joules_above_idle is None


def test_a_counter_that_begins_anew() -> None:
    def at(t: float, joules: float) -> Snapshot:
        limit = Reading("package_energy_range_joules", 1000.0, "p")
        return Snapshot.of(t, [Reading(COUNTER, joules, "p"), limit])

    (found,) = energy.over([at(0, 900), at(1, 990), at(2, 80), at(3, 100)])
    assert found.joules == pytest.approx(200)
    assert found.kind == "counted"
    assert found.source == "package_energy_joules p"


def test_sources_are_never_added_up() -> None:
    def at(t: float) -> Snapshot:
        read = [Reading(POWER, 3.0), Reading("rail_power_watts", 2.0, "VDD_IN")]
        return Snapshot.of(t, [*read, Reading("temperature_celsius", 40.0)])

    found = {e.source: e.joules for e in energy.over([at(0), at(10)])}
    assert found == {POWER: pytest.approx(30), "rail_power_watts VDD_IN": pytest.approx(20)}


def test_without_sensors_there_is_nothing_rather_than_zero() -> None:
    absent = Reading(POWER, None, absent_reason="no battery")
    assert energy.over([Snapshot.of(0, [absent]), Snapshot.of(9, [absent])]) == []
    assert energy.over(powers([0], [5])) == []
