"""When training should wait for the sake of the device's owner: a pure decision, with hysteresis.

A gate closes at its limit and opens again at a margin behind it, so that a device at the limit does
not flutter. A gate whose sensor tells nothing stays open and says so: a Raspberry Pi has no battery
that could be low.

| gate         | closes when                              | opens again when                   |
|--------------|------------------------------------------|------------------------------------|
| battery      | charge < limit, and not plugged in       | charge >= limit + 5, or plugged in |
| charging     | not plugged in                           | plugged in                         |
| temperature  | any zone > limit                         | every zone <= limit - 5            |
| throttling   | the firmware throttles or is under-fed   | it does neither                    |
| load         | load of the others > limit               | <= 0.8 * limit                     |
| hours        | outside the hours                        | within them                        |
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tfplus.errors import UsageError
from tfplus_agent.telemetry.sensor import Reading
from tfplus_agent.telemetry.sensors import load, thermal, throttling
from tfplus_agent.telemetry.sensors.power import power_supply

_CHARGE_MARGIN_PERCENT = 5.0
_TEMPERATURE_MARGIN_CELSIUS = 5.0
_LOAD_MARGIN = 0.8


@dataclass(frozen=True)
class Hours:
    """A span of the day in local time; over midnight where it ends before it begins."""

    begin: datetime.time
    end: datetime.time

    @staticmethod
    def parse(text: str) -> Hours:
        """Reads `22:00-06:00`.

        Raises:
          UsageError: it has another form, or is empty.
        """
        begin, _, end = text.partition("-")
        try:
            hours = Hours(datetime.time.fromisoformat(begin), datetime.time.fromisoformat(end))
        except ValueError:
            hours = None
        if hours is None or hours.begin == hours.end:
            raise UsageError(f"hours '{text}': expected a span such as 22:00-06:00")
        return hours

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"

    def include(self, now: datetime.time) -> bool:
        """Whether a time of the day lies within."""
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


@dataclass(frozen=True)
class Gates:
    """What the owner of a device asks for; nothing by default.

    Attributes:
      min_battery_percent: below it, training waits unless the device is plugged in.
      only_charging: training waits while the device is not plugged in.
      max_celsius: of any thermal zone.
      not_throttled: training waits while the firmware slows the device down.
      max_load: of other programs, in cores.
      hours: of the day in which training may run, local time.
    """

    min_battery_percent: float | None = None
    only_charging: bool = False
    max_celsius: float | None = None
    not_throttled: bool = False
    max_load: float | None = None
    hours: Hours | None = None

    def __bool__(self) -> bool:
        return self != NO_GATES


NO_GATES = Gates()


@dataclass(frozen=True)
class Verdict:
    """What the gates say now.

    Attributes:
      closed: gate → why it holds training back, with the value and the limit.
      blind: gate → why it cannot tell, and so lets everything pass.
    """

    closed: Mapping[str, str]
    blind: Mapping[str, str]

    @property
    def may_train(self) -> bool:
        """Whether no gate is closed."""
        return not self.closed


OPEN = Verdict(MappingProxyType({}), MappingProxyType({}))


def decide(
    gates: Gates,
    readings: Iterable[Reading],
    now: datetime.time,
    before: Verdict = OPEN,
    own_load: float = 0.0,
) -> Verdict:
    """Decides anew.

    Args:
      gates: what was asked for.
      readings: of the sensors, now.
      now: time of the day, local.
      before: the last verdict: a gate that was closed opens behind its margin.
      own_load: threads that training itself keeps busy, which are not others' load.
    """
    read = list(readings)
    closed: dict[str, str] = {}
    blind: dict[str, str] = {}

    def judge(gate: str, quantity: str, holds: bool | None, why: str) -> None:
        if holds is None:
            reasons = [r.absent_reason for r in read if r.quantity == quantity]
            blind[gate] = next(iter(reasons), "") or f"{quantity} is not read"
        elif holds:
            closed[gate] = why

    plugged = _highest(read, power_supply.PLUGGED_IN)
    if gates.only_charging:
        judge("charging", power_supply.PLUGGED_IN, _not(plugged), "the device is not plugged in")
    if gates.min_battery_percent is not None:
        charge = _highest(read, power_supply.CHARGE)
        margin = _CHARGE_MARGIN_PERCENT if "battery" in before.closed else 0.0
        limit = min(gates.min_battery_percent + margin, 100.0)
        low = None if charge is None else charge < limit and not plugged
        judge("battery", power_supply.CHARGE, low, f"{_text(charge)} % of {limit:g} % at least")
    if gates.max_celsius is not None:
        warmest = _highest(read, thermal.TEMPERATURE)
        margin = _TEMPERATURE_MARGIN_CELSIUS if "temperature" in before.closed else 0.0
        limit = gates.max_celsius - margin
        hot = None if warmest is None else warmest > limit
        judge(
            "temperature", thermal.TEMPERATURE, hot, f"{_text(warmest)} °C of {limit:g} °C at most"
        )
    if gates.not_throttled:
        flags = (throttling.THROTTLED, throttling.UNDER_VOLTAGE)
        told = {q: v for q in flags if (v := _highest(read, q)) is not None}
        active = [q for q, value in told.items() if value]
        judge("throttling", flags[0], bool(active) if told else None, ", ".join(active))
    if gates.max_load is not None:
        total = _highest(read, load.LOAD)
        others = None if total is None else max(0.0, total - own_load)
        limit = gates.max_load * (_LOAD_MARGIN if "load" in before.closed else 1.0)
        busy = None if others is None else others > limit
        judge("load", load.LOAD, busy, f"{_text(others)} of {limit:g} at most")
    if gates.hours is not None and not gates.hours.include(now):
        closed["hours"] = f"{now:%H:%M} is outside {gates.hours}"
    return Verdict(MappingProxyType(closed), MappingProxyType(blind))


def _highest(readings: Iterable[Reading], quantity: str) -> float | None:
    told = (r.value for r in readings if r.quantity == quantity)
    return max((value for value in told if value is not None), default=None)


def _not(flag: float | None) -> bool | None:
    return None if flag is None else not flag


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
