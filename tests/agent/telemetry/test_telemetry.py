"""Sensors on trees that look like /proc and /sys of devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfplus_agent.telemetry.sensor import Reading, reason_of, value_of
from tfplus_agent.telemetry.sensors.power.power_supply import CHARGE, PLUGGED_IN, PowerSupply
from tfplus_agent.telemetry.sensors.process_memory import PEAK_RSS, RSS, ProcessMemory
from tfplus_agent.telemetry.sensors.system_memory import AVAILABLE, LIMIT, SWAP, TOTAL, SystemMemory
from tfplus_agent.telemetry.sensors.thermal import TEMPERATURE, ThermalZones


def tree(root: Path, **files: str) -> Path:
    """A fixture tree: `BAT0__type="Battery"` becomes power_supply/BAT0/type."""
    base = root / "sys" / "class" / "power_supply"
    base.mkdir(parents=True)
    for name, text in files.items():
        path = base.joinpath(*name.split("__"))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return root


def values(readings: list[Reading]) -> dict[str, float | None]:
    return {r.quantity: r.value for r in readings}


def test_memory_of_a_process(tmp_path: Path) -> None:
    status = tmp_path / "proc" / "42" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n")
    read = ProcessMemory(42).read(tmp_path)
    assert values(read) == {RSS: 1 << 20, PEAK_RSS: 2 << 20}
    assert {r.source for r in read} == {str(status)}
    assert [r.raw for r in read] == ["1024 kB", "2048 kB"]


def test_memory_of_a_process_that_is_gone_has_a_reason_and_no_number(tmp_path: Path) -> None:
    read = ProcessMemory(42).read(tmp_path)
    assert value_of(read, RSS) is None
    assert "proc/42/status" in reason_of(read, RSS)


def test_memory_of_a_zombie_has_no_number(tmp_path: Path) -> None:
    status = tmp_path / "proc" / "42" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nState:\tZ (zombie)\n")
    read = ProcessMemory(42).read(tmp_path)
    assert values(read) == {RSS: None, PEAK_RSS: None}
    assert "no VmRSS" in reason_of(read, RSS)
    assert "no VmHWM" in reason_of(read, PEAK_RSS)


def test_memory_of_this_process_is_plausible() -> None:
    read = values(ProcessMemory(os.getpid()).read())
    rss, peak = read[RSS], read[PEAK_RSS]
    assert rss is not None
    assert peak is not None
    assert 1 << 20 < rss <= peak + (1 << 20)


def test_memory_of_the_device(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 10 kB\n")
    read = SystemMemory().read(tmp_path)
    assert values(read) == {TOTAL: 1024000, AVAILABLE: 10240, SWAP: None, LIMIT: None}
    assert "SwapTotal" in reason_of(read, SWAP)
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.parent.mkdir(parents=True)
    limit.write_text("max\n")
    assert reason_of(SystemMemory().read(tmp_path), LIMIT).endswith("no limit")
    limit.write_text("52428800\n")
    assert value_of(SystemMemory().read(tmp_path), LIMIT) == 50 << 20


def test_heat(tmp_path: Path) -> None:
    for number, (kind, text) in enumerate([("cpu-thermal", "48312"), ("cpu-thermal", "-500")]):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{text}\n")
    read = ThermalZones().read(tmp_path)
    assert {r.instance: r.value for r in read} == {
        "cpu-thermal": 48.312,
        "cpu-thermal-thermal_zone1": -0.5,
    }
    for zone in (tmp_path / "sys/class/thermal").iterdir():
        (zone / "temp").write_text("asleep")
    assert "no thermal zone" in reason_of(ThermalZones().read(tmp_path), TEMPERATURE)


@pytest.mark.parametrize(
    ("online", "status", "plugged_in"),
    [
        ("1", "Discharging", True),
        ("0", "Charging", False),
        ("", "Charging", True),
        ("", "Full", True),
        ("", "Discharging", False),
        ("", "Unknown", None),
    ],
)
def test_a_laptop(tmp_path: Path, online: str, status: str, plugged_in: bool | None) -> None:
    root = tree(
        tmp_path,
        AC__type="Mains",
        AC__online=online,
        BAT0__type="Battery",
        BAT0__capacity="87",
        BAT0__status=status,
    )
    read = PowerSupply().read(root)
    assert values(read) == {
        CHARGE: 87.0,
        PLUGGED_IN: None if plugged_in is None else float(plugged_in),
    }
    charge, plugged = read
    assert charge.source.endswith("power_supply/BAT0/capacity")
    assert (charge.raw, charge.absent_reason) == ("87", "")
    assert bool(plugged.absent_reason) is (plugged_in is None)


def test_an_empty_battery_is_zero_and_an_absent_one_is_not(tmp_path: Path) -> None:
    root = tree(tmp_path / "a", BAT0__type="Battery", BAT0__capacity="0")
    assert value_of(PowerSupply().read(root), CHARGE) == 0
    none = PowerSupply().read(tree(tmp_path / "b", AC__type="Mains", AC__online="1"))
    assert values(none) == {CHARGE: None, PLUGGED_IN: 1.0}
    assert "no battery" in reason_of(none, CHARGE)
    absent = PowerSupply().read(tmp_path / "c")
    assert values(absent) == {CHARGE: None, PLUGGED_IN: None}
    assert "No such file" in reason_of(absent, PLUGGED_IN)


def test_the_battery_of_a_mouse_is_not_the_devices(tmp_path: Path) -> None:
    root = tree(tmp_path, hidpp__type="Battery", hidpp__scope="Device", hidpp__capacity="50")
    assert value_of(PowerSupply().read(root), CHARGE) is None


@pytest.mark.parametrize("capacity", ["", "abc", "-1", "101", "nan"])
def test_a_capacity_that_makes_no_sense_is_absent(tmp_path: Path, capacity: str) -> None:
    read = PowerSupply().read(tree(tmp_path, BAT0__type="Battery", BAT0__capacity=capacity))
    assert value_of(read, CHARGE) is None
    assert "expected 0 to 100" in reason_of(read, CHARGE)
