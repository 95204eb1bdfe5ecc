from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfplus_agent.telemetry import power_supply, process_memory


def tree(root: Path, **files: str) -> Path:
    """A fixture tree: `BAT0__type="Battery"` becomes power_supply/BAT0/type."""
    base = root / "sys" / "class" / "power_supply"
    base.mkdir(parents=True)
    for name, text in files.items():
        path = base.joinpath(*name.split("__"))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_memory_of_a_process(tmp_path: Path) -> None:
    status = tmp_path / "proc" / "42" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n")
    assert process_memory.read(42, tmp_path) == process_memory.ProcessMemory(1 << 20, 2 << 20)


def test_memory_of_a_process_that_is_gone_has_a_reason_and_no_number(tmp_path: Path) -> None:
    reading = process_memory.read(42, tmp_path)
    assert reading.rss_bytes is None
    assert "proc/42/status" in reading.absent_reason


def test_memory_of_a_zombie_has_no_number(tmp_path: Path) -> None:
    status = tmp_path / "proc" / "42" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nState:\tZ (zombie)\n")
    reading = process_memory.read(42, tmp_path)
    assert (reading.rss_bytes, reading.peak_rss_bytes) == (None, None)
    assert "no VmRSS and no VmHWM" in reading.absent_reason


def test_memory_of_this_process_is_plausible() -> None:
    reading = process_memory.read(os.getpid())
    assert reading.rss_bytes is not None
    assert reading.peak_rss_bytes is not None
    assert 1 << 20 < reading.rss_bytes <= reading.peak_rss_bytes + (1 << 20)


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
    reading = power_supply.read(root)
    assert (reading.percent, reading.plugged_in) == (87.0, plugged_in)
    assert reading.source.endswith("power_supply/BAT0")
    assert reading.absent_reason == ""


def test_an_empty_battery_is_zero_and_an_absent_one_is_not(tmp_path: Path) -> None:
    root = tree(tmp_path / "a", BAT0__type="Battery", BAT0__capacity="0")
    assert power_supply.read(root).percent == 0
    none = power_supply.read(tree(tmp_path / "b", AC__type="Mains", AC__online="1"))
    assert (none.percent, none.plugged_in) == (None, True)
    assert "no battery" in none.absent_reason
    absent = power_supply.read(tmp_path / "c")
    assert (absent.percent, absent.plugged_in) == (None, None)
    assert "No such file" in absent.absent_reason


def test_the_battery_of_a_mouse_is_not_the_devices(tmp_path: Path) -> None:
    root = tree(tmp_path, hidpp__type="Battery", hidpp__scope="Device", hidpp__capacity="50")
    assert power_supply.read(root).percent is None


@pytest.mark.parametrize("capacity", ["", "abc", "-1", "101", "nan"])
def test_a_capacity_that_makes_no_sense_is_absent(tmp_path: Path, capacity: str) -> None:
    reading = power_supply.read(tree(tmp_path, BAT0__type="Battery", BAT0__capacity=capacity))
    assert reading.percent is None
    assert "expected 0 to 100" in reading.absent_reason
