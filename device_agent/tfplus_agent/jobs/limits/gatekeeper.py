"""Reads the sensors that gates ask for, again and again, and tells who trains whether to wait."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tfplus_agent.jobs.limits.gates import OPEN, Gates, Verdict, decide
from tfplus_agent.telemetry.sampler import read_all
from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.load import Load
from tfplus_agent.telemetry.sensors.power.power_supply import PowerSupply
from tfplus_agent.telemetry.sensors.thermal import ThermalZones
from tfplus_agent.telemetry.sensors.throttling import Throttling

_LOG = logging.getLogger(__name__)
_SENSORS: tuple[Sensor, ...] = (Load(), PowerSupply(), ThermalZones(), Throttling())
# How long somebody waits before it asks again whether it is still wanted.
_ASK_AGAIN_S = 1.0


class Gatekeeper:
    """Thread-safe. Without gates it reads nothing, and everything is open.

    Args:
      gates: what the owner of the device asks for.
      root: the tree that sensors read.
      period_s: seconds from one reading to the next.
      time_of_day: local.
      own_load: threads that training keeps busy.
      sensors: what is read.
    """

    def __init__(
        self,
        gates: Gates,
        root: Path = Path("/"),
        *,
        period_s: float = 5.0,
        time_of_day: Callable[[], datetime.time] = lambda: datetime.datetime.now().time(),
        own_load: float = 0.0,
        sensors: Sequence[Sensor] = _SENSORS,
    ) -> None:
        self._gates = gates
        self._root = root
        self._time_of_day = time_of_day
        self._own_load = own_load
        self._sensors = sensors
        self._period_s = period_s
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._verdict = OPEN
        self._training = False
        if gates:
            self.look()
            for gate, why in self._verdict.blind.items():
                _LOG.warning("the gate on %s cannot tell and lets everything pass: %s", gate, why)
            threading.Thread(target=self._run, name="gates", daemon=True).start()

    @property
    def verdict(self) -> Verdict:
        """What the gates said last."""
        return self._verdict

    def closed(self) -> bool:
        """Whether training should wait now."""
        return not self._verdict.may_train

    def look(self) -> None:
        """Reads the sensors now and decides."""
        readings = read_all(self._sensors, self._root)
        own_load = self._own_load if self._training else 0.0
        before = self._verdict
        with self._changed:
            self._verdict = decide(self._gates, readings, self._time_of_day(), before, own_load)
            self._changed.notify_all()
        for gate in self._verdict.closed.keys() - before.closed.keys():
            _LOG.warning("training waits for %s: %s", gate, self._verdict.closed[gate])
        for gate in before.closed.keys() - self._verdict.closed.keys():
            _LOG.warning("training need not wait for %s any more", gate)

    def wait(self, stop: Callable[[], bool]) -> None:
        """Waits until every gate is open, or `stop` says that nobody waits for the training."""
        while self.closed() and not stop():
            with self._changed:
                self._training = False
                self._changed.wait_for(lambda: not self.closed(), _ASK_AGAIN_S)
        self._training = True

    def trained(self) -> None:
        """Tells that training has ended: the load of the device is others' from now on."""
        self._training = False

    def close(self) -> None:
        """Ends the readings."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self.look()
