"""What every sensor of the registry promises, on trees that are whole, empty and damaged."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.registry import SENSORS

UNITS = (
    *("_bytes", "_celsius", "_percent", "_hertz", "_seconds", "_watts", "_joules", "_count"),
    *("_volts", "_amperes"),
)
# Yes or no, which has no unit.
FLAGS = {"plugged_in", "throttled", "under_voltage", "frequency_capped", "temperature_limited"}
PLACES = (
    "data/data/com.termux/files/usr/bin/termux-battery-status",
    "proc/loadavg",
    "proc/meminfo",
    "proc/pressure/memory",
    f"proc/{os.getpid()}/smaps_rollup",
    f"proc/{os.getpid()}/stat",
    "proc/self/status",
    "proc/stat",
    "sys/class/hwmon/hwmon0/name",
    "sys/class/hwmon/hwmon0/power1_input",
    "sys/class/power_supply/BAT0/type",
    "sys/class/power_supply/BAT0/capacity",
    "sys/class/power_supply/BAT0/current_now",
    "sys/class/powercap/intel-rapl:0/energy_uj",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/fs/cgroup/memory.max",
)

every_sensor = pytest.mark.parametrize("sensor", SENSORS, ids=lambda s: s.name)


def held_to_the_contract(sensor: Sensor, root: Path) -> None:
    readings = sensor.read(root)
    assert {r.quantity for r in readings} == set(sensor.quantities)
    for reading in readings:
        # No value, no zero: a reason. A value: where it came from, and what stood there.
        assert (reading.value is None) == bool(reading.absent_reason), reading
        if reading.value is not None:
            assert reading.source.startswith(str(root))
            assert reading.raw
            assert math.isfinite(reading.value)
    keys = [(r.quantity, r.instance) for r in readings]
    assert len(set(keys)) == len(keys)


def test_names_and_quantities_are_unique() -> None:
    assert len({s.name for s in SENSORS}) == len(SENSORS)
    quantities = [q for s in SENSORS for q in s.quantities]
    assert len(set(quantities)) == len(quantities)


@every_sensor
def test_quantities_end_in_their_unit(sensor: Sensor) -> None:
    assert all(q in FLAGS or q.endswith(UNITS) for q in sensor.quantities)


@every_sensor
def test_on_this_machine(sensor: Sensor) -> None:
    held_to_the_contract(sensor, Path("/"))


@every_sensor
def test_where_nothing_is(sensor: Sensor, tmp_path: Path) -> None:
    held_to_the_contract(sensor, tmp_path)
    assert all(r.value is None for r in sensor.read(tmp_path))


@every_sensor
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"nan", b"9" * 4000, b"a: b: c\n:\n"])
def test_where_files_are_damaged(sensor: Sensor, content: bytes, tmp_path: Path) -> None:
    for place in PLACES:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    held_to_the_contract(sensor, tmp_path)


@every_sensor
@pytest.mark.parametrize("says", ["", "echo '{}'", "echo x; exit 3", "echo throttled=0xfffffffff"])
def test_where_programs_are_strange(sensor: Sensor, says: str, tmp_path: Path) -> None:
    for place in ("data/data/com.termux/files/usr/bin/termux-battery-status", "usr/bin/vcgencmd"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{says}\n")
        path.chmod(0o755)
    held_to_the_contract(sensor, tmp_path)


@every_sensor
def test_where_files_are_folders(sensor: Sensor, tmp_path: Path) -> None:
    for place in PLACES:
        (tmp_path / place).mkdir(parents=True)
    held_to_the_contract(sensor, tmp_path)
