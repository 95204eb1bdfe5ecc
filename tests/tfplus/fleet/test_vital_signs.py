"""What `tfplus top` makes of readings."""

from __future__ import annotations

from tfplus.fleet.overview import DeviceRow, SensorValue
from tfplus.fleet.vital_signs import PowerMeter, highest, throttling


def row(**told: float | None) -> DeviceRow:
    return DeviceRow("pi:1", sensors=[SensorValue(q, v, "0") for q, v in told.items()])


def test_the_warmest_zone_and_absent_ones() -> None:
    zones = [SensorValue("temperature_celsius", v, str(v)) for v in (40.0, 61.5, None)]
    assert highest(DeviceRow("pi:1", sensors=zones), "temperature_celsius") == 61.5
    assert highest(row(temperature_celsius=None), "temperature_celsius") is None
    # Zero is a reading.
    assert highest(row(load_average_count=0.0), "load_average_count") == 0.0


def test_flags() -> None:
    assert throttling(row(throttled=None)) == "?"
    assert throttling(row(throttled=0.0, under_voltage=0.0)) == "no"
    assert throttling(row(throttled=1.0, under_voltage=1.0)) == "throttled, under voltage"


def test_power_by_its_best_source() -> None:
    meter = PowerMeter(lambda: 1.0)
    assert meter.text(row()) == "?"
    assert meter.text(row(battery_power_watts=2.25)) == "2.2 W battery"
    assert meter.text(row(battery_power_watts=2.0, board_power_watts=3.5)) == "3.5 W board"


def test_power_of_a_counter_that_begins_anew() -> None:
    times = iter((0.0, 2.0, 4.0))
    meter = PowerMeter(lambda: next(times))
    looks = [row(package_energy_joules=j, package_energy_range_joules=100.0) for j in (80, 96, 4)]
    assert [meter.text(look) for look in looks] == [
        "at the next look",
        "8.0 W package",
        "4.0 W package",
    ]
