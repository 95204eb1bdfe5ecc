"""Unit and sign of a battery's numbers, found on made-up drivers whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus.errors import DataError
from tfplus_agent.doctor import battery
from tfplus_agent.telemetry import calibration_file
from tfplus_agent.telemetry.sensor import reason_of, value_of
from tfplus_agent.telemetry.sensors.power.battery_power import CURRENT, POWER, BatteryPower

PLACE = "sys/class/power_supply/battery"


class Driver:
    """A battery that gives a constant current, and what its driver makes of that.

    Args:
      root: of the tree.
      amperes: that it gives; negative where it is charged.
      current: raw units of an ampere in `current_now`, with its sign; 0 for no such file.
      power: raw units of a watt in `power_now`.
      counter: its file and units of an ampere-hour, or watt-hour, in it; empty for none.
      step: the counter moves by so many units at once.
    """

    def __init__(
        self,
        root: Path,
        amperes: float,
        *,
        current: float = 1e6,
        power: float = 0.0,
        counter: tuple[str, float] = ("charge_counter", 1e6),
        step: float = 1000.0,
        status: str = "",
    ) -> None:
        self.root = root
        self.amperes, self.volts, self.now_s = amperes, 4.0, 0.0
        self._current, self._power, self._counter, self._step = current, power, counter, step
        self.status = status or ("Discharging" if amperes > 0 else "Charging")
        (root / PLACE).mkdir(parents=True)
        self.write("type", "Battery")
        self.tell()

    def write(self, name: str, text: str) -> None:
        (self.root / PLACE / name).write_text(text + "\n")

    def tell(self) -> None:
        self.write("status", self.status)
        self.write("voltage_now", f"{self.volts * 1e6:.0f}")
        if self._current:
            self.write("current_now", f"{self.amperes * self._current:.0f}")
        if self._power:
            self.write("power_now", f"{self.amperes * self.volts * self._power:.0f}")
        name, units = self._counter
        if name:
            per_hour = self.amperes * (self.volts if name == "energy_now" else 1.0)
            left = 3 * units - per_hour * units * self.now_s / 3600
            self.write(name, f"{left // self._step * self._step:.0f}")

    def clock(self) -> float:
        return self.now_s

    def wait(self, _: float) -> None:
        # A busy device may read seldom.
        self.now_s += 5
        self.tell()

    def calibrate(self, seconds: float = 300.0) -> calibration_file.Calibration:
        found, path = battery.calibrate(seconds, lambda _: None, self.root, self.clock, self.wait)
        assert path.is_relative_to(self.root)
        return found


Made = Callable[..., Driver]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return lambda *given, **more: Driver(tmp_path, *given, **more)


@pytest.mark.parametrize("counter", ["charge_counter", "charge_now", "energy_now"])
@pytest.mark.parametrize("unit", [1e6, 1e3], ids=["micro", "milli"])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["gives", "takes"])
@pytest.mark.parametrize("amperes", [0.45, -1.2], ids=["discharging", "charging"])
def test_unit_and_sign_are_found_by_the_counter(
    made: Made, amperes: float, sign: float, unit: float, counter: str
) -> None:
    driver = made(amperes, current=sign * unit, power=-sign * unit, counter=(counter, 1e6))
    found = driver.calibrate()
    assert found.amperes_per_unit == pytest.approx(sign / unit)
    assert found.watts_per_unit == pytest.approx(-sign / unit)
    readings = BatteryPower().read(driver.root)
    assert value_of(readings, CURRENT) == pytest.approx(amperes, rel=1e-3)
    assert value_of(readings, POWER) == pytest.approx(4 * amperes, rel=1e-3)
    # Whatever the driver says of its state from now on.
    driver.status, driver.amperes = "Unknown", -amperes
    driver.tell()
    assert value_of(BatteryPower().read(driver.root), CURRENT) == pytest.approx(-amperes, rel=1e-3)


def test_it_takes_no_longer_than_it_must(made: Made) -> None:
    driver = made(0.9)
    driver.calibrate()
    # A thousandth of an ampere-hour every four seconds: clear once it has begun.
    assert driver.now_s == 20


def test_a_state_that_is_wrong_does_not_matter_beside_a_counter(made: Made) -> None:
    driver = made(0.5, current=-1e3, status="Charging")
    assert driver.calibrate().amperes_per_unit == pytest.approx(-1e-3)


def test_a_counter_in_milli_is_known_by_what_a_device_draws(made: Made) -> None:
    driver = made(0.5, current=1e3, counter=("charge_counter", 1e3), step=1.0)
    assert driver.calibrate().amperes_per_unit == pytest.approx(1e-3)


@pytest.mark.parametrize(("unit", "sign"), [(1e6, -1.0), (1e3, 1.0), (1e3, -1.0)])
def test_without_a_counter_the_state_says_it(made: Made, unit: float, sign: float) -> None:
    driver = made(0.3, current=sign * unit, counter=("", 0.0))
    found = driver.calibrate()
    assert found.amperes_per_unit == pytest.approx(sign / unit)
    assert "no counter" in found.how


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amperes": -0.9, "current": 1e3, "counter": ("", 0.0)}, "may be a trickle"),
        ({"amperes": 0.9, "counter": ("", 0.0), "status": "Unknown"}, "charger away"),
        ({"amperes": 0.9, "step": 1e6}, "moved 1 times in 30. s.*for longer"),
        ({"amperes": 0.9, "current": 3e4}, "numbers cannot be used"),
        ({"amperes": 0.9, "current": 0.0}, "neither current_now nor power_now"),
        ({"amperes": 90.0}, "expected 0.02 to 20"),
    ],
)
def test_what_cannot_be_said_is_not_said(
    made: Made, options: dict[str, object], message: str
) -> None:
    driver = made(**options)
    with pytest.raises(DataError, match=message):
        driver.calibrate()
    assert not any(p.exists() for p in calibration_file.places(driver.root))


def test_a_charger_that_is_plugged_in_meanwhile(made: Made) -> None:
    driver = made(0.9, counter=("", 0.0))
    real = driver.wait

    def wait(seconds: float) -> None:
        if driver.now_s > 5:
            driver.status = "Charging"
        real(seconds)

    driver.wait = wait  # type: ignore[method-assign]
    with pytest.raises(DataError, match="from 'Discharging' to 'Charging': begin again"):
        driver.calibrate()
    driver.status = "Discharging"
    driver.tell()
    driver.wait = lambda s: (setattr(driver, "amperes", -driver.amperes), real(s))[1]  # type: ignore[method-assign]
    with pytest.raises(DataError, match="changed its sign"):
        driver.calibrate()


def test_no_battery(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no battery: there is nothing to calibrate"):
        battery.calibrate(10, lambda _: None, tmp_path)


@pytest.mark.parametrize("damage", ["", "[1]", "{}", '{"source": 1}', "x" * 70_000, "nan"])
def test_a_damaged_file_is_as_none(made: Made, damage: str) -> None:
    driver = made(0.45, current=1e3)
    driver.calibrate()
    path = next(p for p in calibration_file.places(driver.root) if p.exists())
    text = path.read_text()
    path.write_text(damage)
    assert value_of(BatteryPower().read(driver.root), CURRENT) == pytest.approx(0.45)
    driver.status = "Unknown"
    driver.tell()
    assert "milliamperes?" in reason_of(BatteryPower().read(driver.root), CURRENT)
    for wrong in ("0.002", "-1e999", "true", '"1"'):
        path.write_text(text.replace("0.001", wrong))
        assert value_of(BatteryPower().read(driver.root), CURRENT) is None
    path.write_text(text)
    assert value_of(BatteryPower().read(driver.root), CURRENT) == pytest.approx(0.45)


def test_of_another_battery_and_of_another_driver(made: Made) -> None:
    driver = made(0.45, current=1e3)
    driver.calibrate()
    driver.write("current_now", "450000")
    readings = BatteryPower().read(driver.root)
    assert "calibrate-battery` again" in reason_of(readings, CURRENT)
    (driver.root / PLACE).rename(driver.root / "sys/class/power_supply/other")
    assert value_of(BatteryPower().read(driver.root), CURRENT) == pytest.approx(0.45)
