"""Reads the sensors while a job works, and tells what each span of time took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfplus_agent.jobs.limits.ledger import Costs
from tfplus_agent.results import MemoryReading
from tfplus_agent.telemetry import energy
from tfplus_agent.telemetry.energy import Snapshot
from tfplus_agent.telemetry.sampler import read_all
from tfplus_agent.telemetry.sensor import Reading, Sensor
from tfplus_agent.telemetry.sensors.power.battery_power import BatteryPower
from tfplus_agent.telemetry.sensors.power.board_power import BoardPower
from tfplus_agent.telemetry.sensors.power.energy_counter import EnergyCounter
from tfplus_agent.telemetry.sensors.power.power_rails import PowerRails
from tfplus_agent.telemetry.sensors.thermal import TEMPERATURE, ThermalZones

_ENERGY: tuple[Sensor, ...] = (BatteryPower(), BoardPower(), EnergyCounter(), PowerRails())
_THERMAL = ThermalZones()
# A baseline over less says nothing.
_LEAST_IDLE_S = 5.0
# Sensors are not read more often.
_LEAST_READING_S = 0.5


class Meter:
    """Measures what jobs take, one at a time.

    Args:
      memory: reads that of daemon and worker.
      busy: how many long operations the device has begun so far: between two equal counts it was
        idle.
      root: the tree that sensors read.
      period_s: from one reading to the next.
      clock: monotonic seconds.
    """

    def __init__(
        self,
        memory: Callable[[], MemoryReading],
        busy: Callable[[], int] = lambda: 0,
        root: Path = Path("/"),
        period_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = memory
        self._busy = busy
        self._root = root
        self._period_s = period_s
        self._clock = clock
        self._idle: tuple[Snapshot, int] | None = None
        self._baseline: dict[str, float] = {}

    def readings(self) -> Sequence[Reading]:
        """What the sensors say that tell energy, now."""
        return read_all(_ENERGY, self._root)

    def idles(self) -> None:
        """Tells that the device has nothing to do from now on."""
        self._idle = Snapshot.of(self._clock(), self.readings()), self._busy()

    @contextmanager
    def running(self, spend: Callable[[Costs], float]) -> Generator[Callable[[], None]]:
        """Measures while the body runs; yields what brings all that was spent up to now.

        Args:
          spend: called with what every span took, also from another thread, and at the end; returns
            in how many seconds it wants to be called again, at the latest.
        """
        span = _Span(self._clock, self._root, self._memory)
        self._note_baseline(span.begin)
        ended, one_at_a_time = threading.Event(), threading.Lock()

        def told(sensors: bool = True) -> float:
            with one_at_a_time:
                left_s = spend(span.taken(self._baseline, sensors=sensors))
            return min(self._period_s, max(0.01, left_s))

        def up_to_now() -> None:
            told(not span.was_read or span.age_s() >= _LEAST_READING_S)

        def run() -> None:
            wait_s = min(self._period_s, max(0.01, spend(Costs(0.0))))
            while not ended.wait(wait_s):
                wait_s = told()

        thread = threading.Thread(target=run, name="meter", daemon=True)
        thread.start()
        try:
            yield up_to_now
        finally:
            ended.set()
            thread.join()
            told()

    def _note_baseline(self, now: Snapshot) -> None:
        """The power of every source since the device has been idle."""
        if self._idle is None:
            return
        before, busy = self._idle
        if busy == self._busy() and now.at_s - before.at_s >= _LEAST_IDLE_S:
            found = energy.over([before, now])
            self._baseline = {e.source: e.joules / e.seconds for e in found if e.seconds > 0}


class _Span:
    """From one reading to the next."""

    def __init__(
        self, clock: Callable[[], float], root: Path, memory: Callable[[], MemoryReading]
    ) -> None:
        self._clock = clock
        self._root = root
        self._memory = memory
        self.begin = Snapshot.of(clock(), read_all(_ENERGY, root))
        self._told_s = self.begin.at_s
        self.was_read = False

    def age_s(self) -> float:
        """Seconds since the sensors were read last."""
        return self._clock() - self.begin.at_s

    def taken(self, baseline: dict[str, float], *, sensors: bool) -> Costs:
        """What was taken since the last call; without the sensors the time alone."""
        told_s, self._told_s = self._told_s, self._clock()
        if not sensors:
            return Costs(self._told_s - told_s)
        self.was_read = True
        readings = read_all(_ENERGY, self._root)
        now = Snapshot.of(self._clock(), readings)
        before, self.begin = self.begin, now
        found = energy.over([before, now])
        zones = [r for r in _THERMAL.read(self._root) if r.quantity == TEMPERATURE]
        warmest = max(zones, key=lambda r: -300.0 if r.value is None else r.value)
        return Costs(
            seconds=self._told_s - told_s,
            energy=[
                energy.Energy(
                    e.source, e.joules, e.seconds, e.kind, e.readings, baseline.get(e.source)
                )
                for e in found
            ],
            no_energy="" if found else energy.why_none(readings),
            celsius=warmest.value,
            zone=warmest.source if warmest.value is not None else warmest.absent_reason,
            memory=self._memory(),
        )
