"""`tfplus sensors` on a made-up device whose energy is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tfplus_agent.cli import app
from tfplus_agent.telemetry.energy import busy_share
from tfplus_agent.telemetry.sampler import Sampler
from tfplus_agent.telemetry.sensors.power.power_supply import CHARGE
from tfplus_agent.telemetry.sensors.registry import SENSORS


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    battery = tmp_path / "sys/class/power_supply/battery"
    battery.mkdir(parents=True)
    contents = {"type": "Battery", "status": "Discharging", "capacity": "50"}
    contents |= {"current_now": "500000", "voltage_now": "4000000"}
    for name, content in contents.items():
        (battery / name).write_text(content)
    return tmp_path


def test_two_watts_for_half_a_second(phone: Path) -> None:
    done = CliRunner().invoke(app, ["sensors", "--root", str(phone), "--seconds", "0.5", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (spent,) = told["energy"]
    assert spent["source"] == "battery_power_watts"
    assert spent["seconds"] >= 0.5
    assert spent["joules"] == pytest.approx(2 * spent["seconds"], rel=1e-6)
    assert told["processor_busy_share"] is None
    assert set(told["costs_ms"]) == {sensor.name for sensor in SENSORS}
    charge = next(r for r in told["readings"] if r["quantity"] == CHARGE)
    assert charge["value"] == 50
    assert charge["source"].endswith("battery/capacity")


def test_a_table_and_what_is_absent(phone: Path) -> None:
    done = CliRunner().invoke(app, ["sensors", "--root", str(phone)])
    assert done.exit_code == 0
    assert "battery_power_watts" in done.output
    assert "absent: temperature_celsius" in done.output


def test_a_sampler_reads_at_its_start_and_at_its_end(phone: Path) -> None:
    ticks = iter(range(100))
    with Sampler(SENSORS, 3600, phone, clock=lambda: next(ticks)) as sampler:
        (phone / "sys/class/power_supply/battery/capacity").write_text("49")
    assert [s.values[CHARGE, ""] for s in sampler.snapshots] == [50, 49]
    assert [s.at_s for s in sampler.snapshots] == [0, 1]


def test_the_share_of_busy_cores(tmp_path: Path) -> None:
    stat = tmp_path / "proc/stat"
    stat.parent.mkdir()
    stat.write_text("cpu 100 0 0 900 0 0 0 0 0 0\n")
    with Sampler(SENSORS, 3600, tmp_path) as sampler:
        stat.write_text("cpu 160 0 15 920 5 0 0 0 0 0\n")
    assert busy_share(sampler.snapshots) == pytest.approx(0.75)
