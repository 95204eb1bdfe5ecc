"""Energy from what sensors tell at several times: pure arithmetic, each source by itself.

Two kinds of source exist. A counter (RAPL) has measured by itself, and its difference is exact
however seldom it is read. A power (battery, supply rail) is read now and then, and its integral by
the trapezoidal rule is as good as the readings are dense. Sources see different parts of a device,
so that their joules are never added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tfplus_agent.telemetry.sensor import Reading

_POWERS = ("battery_power_watts", "board_power_watts", "rail_power_watts")
_COUNTER = "package_energy_joules"
_RAILS = "rail_power_watts"
_WIDEST = ("board_power_watts", "battery_power_watts", _COUNTER, _RAILS)
_RANGE = "package_energy_range_joules"
_BUSY, _IDLE = ("processor_busy_seconds", ""), ("processor_idle_seconds", "")


@dataclass(frozen=True)
class Snapshot:
    """What the sensors told at one time.

    Attributes:
      at_s: seconds of a monotonic clock.
      values: (quantity, instance) → value.
    """

    at_s: float
    values: Mapping[tuple[str, str], float]

    @staticmethod
    def of(at_s: float, readings: Iterable[Reading]) -> Snapshot:
        """Keeps the readings that have a value."""
        told = {(r.quantity, r.instance): r.value for r in readings if r.value is not None}
        return Snapshot(at_s, told)


@dataclass(frozen=True)
class Energy:
    """What one source says of a span of time.

    Attributes:
      source: quantity and instance, such as `package_energy_joules package-0-0`.
      joules: of the whole span; of a battery negative where it was charged more than used.
      seconds: between the first and the last reading of this source.
      kind: whether the source counted, or its power was integrated.
      readings: how many lie behind it.
      idle_watts: its power before the span, where that was measured.
    """

    source: str
    joules: float
    seconds: float
    kind: Literal["counted", "integrated"]
    readings: int
    idle_watts: float | None = None

    @property
    def joules_above_idle(self) -> float | None:
        """What the span took beyond an idle device; None without a baseline."""
        if self.idle_watts is None:
            return None
        return self.joules - self.idle_watts * self.seconds


def over(snapshots: Sequence[Snapshot], idle: Sequence[Snapshot] = ()) -> list[Energy]:
    """Energy of every source that was read at least twice.

    Args:
      snapshots: in the order of time, over the work.
      idle: in the order of time, before it: the baseline.

    Returns:
      A source a line, in a fixed order; empty where no source tells energy.
    """
    baseline = {e.source: e.joules / e.seconds for e in _energies(idle) if e.seconds > 0}
    return [
        Energy(e.source, e.joules, e.seconds, e.kind, e.readings, baseline.get(e.source))
        for e in _energies(snapshots)
    ]


def widest(values: Iterable[tuple[str, float]]) -> tuple[str, float] | None:
    """Which source sees most of the device, and the sum over its instances.

    Args:
      values: quantity, and joules or watts of one instance of it.

    Returns:
      The quantity and the sum; None where none can stand for the device: a battery that is being
      charged does not tell what is used, and rails may be parts of one another.
    """
    found: dict[str, list[float]] = {}
    for quantity, value in values:
        found.setdefault(quantity, []).append(value)
    for quantity in _WIDEST:
        told = found.get(quantity, [])
        if told and sum(told) >= 0 and (quantity != _RAILS or len(told) == 1):
            return quantity, sum(told)
    return None


def why_none(readings: Iterable[Reading]) -> str:
    """Why no source tells energy, source by source."""
    reasons = [r.absent_reason or "it cannot stand for the device" for r in readings if _tells(r)]
    return "; ".join(dict.fromkeys(reasons)) or "no sensor tells it"


def _tells(reading: Reading) -> bool:
    return reading.quantity in (*_POWERS, _COUNTER)


def busy_share(snapshots: Sequence[Snapshot]) -> float | None:
    """The share of all cores' time that was spent working, 0 to 1; None where it is not told."""
    read = [(s.values.get(_BUSY), s.values.get(_IDLE)) for s in snapshots]
    told = [(busy, idle) for busy, idle in read if busy is not None and idle is not None]
    if len(told) < 2:
        return None
    busy, idle = told[-1][0] - told[0][0], told[-1][1] - told[0][1]
    return busy / (busy + idle) if busy >= 0 and idle >= 0 and busy + idle > 0 else None


def _energies(snapshots: Sequence[Snapshot]) -> list[Energy]:
    keys = {key for s in snapshots for key in s.values if key[0] in (*_POWERS, _COUNTER)}
    found: list[Energy] = []
    for quantity, instance in sorted(keys):
        read = [(s.at_s, s.values[q]) for s in snapshots if (q := (quantity, instance)) in s.values]
        if len(read) < 2:
            continue
        if quantity == _COUNTER:
            rng = next((s.values.get((_RANGE, instance)) for s in snapshots), None)
            joules = _counted([value for _, value in read], rng)
            kind: Literal["counted", "integrated"] = "counted"
        else:
            joules = sum((b - a) * (v + w) / 2 for (a, v), (b, w) in pairwise(read))
            kind = "integrated"
        source = f"{quantity} {instance}".strip()
        found.append(Energy(source, joules, read[-1][0] - read[0][0], kind, len(read)))
    return found


def _counted(values: list[float], counter_range: float | None) -> float:
    total = 0.0
    for before, after in pairwise(values):
        if after >= before:
            total += after - before
        elif counter_range is not None and before <= counter_range:
            # The counter began anew in between.
            total += after + counter_range - before
        else:
            total += after
    return total
