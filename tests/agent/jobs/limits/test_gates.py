"""Gates by a table, and their hysteresis by sweeps up and down."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import UsageError
from tfplus_agent.jobs.limits.gates import OPEN, Gates, Hours, decide
from tfplus_agent.telemetry.sensor import Reading

NOON = datetime.time(12)
CHARGE, PLUGGED, WARM = "battery_charge_percent", "plugged_in", "temperature_celsius"


def told(**values: float) -> list[Reading]:
    return [Reading(quantity, value) for quantity, value in values.items()]


@pytest.mark.parametrize(
    ("gates", "readings", "closed"),
    [
        (Gates(), told(battery_charge_percent=1, plugged_in=0, temperature_celsius=99), ""),
        (Gates(min_battery_percent=30), told(battery_charge_percent=29, plugged_in=0), "battery"),
        (Gates(min_battery_percent=30), told(battery_charge_percent=29), "battery"),
        (Gates(min_battery_percent=30), told(battery_charge_percent=29, plugged_in=1), ""),
        (Gates(min_battery_percent=30), told(battery_charge_percent=30, plugged_in=0), ""),
        (Gates(only_charging=True), told(plugged_in=0), "charging"),
        (Gates(only_charging=True), told(plugged_in=1), ""),
        (Gates(max_celsius=70), told(temperature_celsius=70), ""),
        (Gates(max_celsius=70), told(temperature_celsius=70.1), "temperature"),
        (Gates(not_throttled=True), told(throttled=0, under_voltage=0), ""),
        (Gates(not_throttled=True), told(throttled=0, under_voltage=1), "throttling"),
        (Gates(not_throttled=True), told(throttled=1), "throttling"),
        (Gates(max_load=2), told(load_average_count=2.5), "load"),
        (Gates(max_load=2), told(load_average_count=2.0), ""),
        (Gates(hours=Hours.parse("22:00-06:00")), [], "hours"),
        (Gates(hours=Hours.parse("09:00-17:00")), [], ""),
    ],
)
def test_each_gate(gates: Gates, readings: list[Reading], closed: str) -> None:
    verdict = decide(gates, readings, NOON)
    assert ", ".join(verdict.closed) == closed
    assert verdict.may_train == (not closed)
    assert not verdict.blind


def test_the_warmest_zone_counts_and_the_reason_says_what_and_how_much() -> None:
    zones = [Reading(WARM, 40.0, "gpu"), Reading(WARM, 81.5, "cpu"), Reading(WARM, None, "x")]
    verdict = decide(Gates(max_celsius=80), zones, NOON)
    assert verdict.closed == {"temperature": "81.5 °C of 80 °C at most"}


def test_a_gate_without_its_sensor_lets_pass_and_says_why() -> None:
    gates = Gates(min_battery_percent=30, only_charging=True, max_celsius=60, not_throttled=True)
    verdict = decide(gates, [Reading(CHARGE, None, absent_reason="no battery")], NOON)
    assert verdict.may_train
    assert verdict.blind["battery"] == "no battery"
    assert set(verdict.blind) == {"battery", "charging", "temperature", "throttling"}


def test_own_threads_are_no_load_of_others() -> None:
    gates = Gates(max_load=1)
    assert decide(gates, told(load_average_count=4.5), NOON, own_load=4).may_train
    assert not decide(gates, told(load_average_count=5.5), NOON, own_load=4).may_train


@pytest.mark.parametrize(
    ("gates", "quantity", "closes_at", "opens_at"),
    [
        (Gates(max_celsius=70), WARM, 71, 65),
        (Gates(min_battery_percent=30), CHARGE, 29, 35),
        (Gates(max_load=10), "load_average_count", 11, 8),
    ],
)
def test_it_closes_at_the_limit_and_opens_behind_a_margin(
    gates: Gates, quantity: str, closes_at: int, opens_at: int
) -> None:
    verdict, seen = OPEN, []
    up = range(0, 101) if quantity != CHARGE else range(100, -1, -1)
    for value in (*up, *reversed(up)):
        after = decide(gates, [Reading(quantity, float(value))], NOON, verdict)
        if after.may_train != verdict.may_train:
            seen.append((value, after.may_train))
        verdict = after
    assert seen == [(closes_at, False), (opens_at, True)]


@given(st.lists(st.floats(64, 71), max_size=50))
def test_between_limit_and_margin_nothing_changes_twice(values: list[float]) -> None:
    verdict = OPEN
    for value in values:
        after = decide(Gates(max_celsius=70), [Reading(WARM, value)], NOON, verdict)
        if 65 < value <= 70:
            assert after.may_train == verdict.may_train
        verdict = after


@given(st.times())
def test_hours_over_midnight_are_the_others_complement(now: datetime.time) -> None:
    night, day = Hours.parse("22:00-06:00"), Hours.parse("06:00-22:00")
    assert night.include(now) != day.include(now)


@pytest.mark.parametrize("text", ["", "22:00", "22-", "25:00-06:00", "06:00-06:00", "a-b", "-"])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="expected a span such as"):
        Hours.parse(text)
