"""Reads the sensors again and again, in a thread of its own, and keeps what they told lately."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tfplus_agent.telemetry.energy import Snapshot
from tfplus_agent.telemetry.sensor import Reading, Sensor

_KEPT = 100_000


def read_all(sensors: Sequence[Sensor], root: Path = Path("/")) -> list[Reading]:
    """Reads every sensor once."""
    return [reading for sensor in sensors for reading in sensor.read(root)]


def timed(
    sensors: Sequence[Sensor], root: Path, clock: Callable[[], float]
) -> Iterator[tuple[str, float, list[Reading]]]:
    """Reads every sensor once; yields its name, the milliseconds that it took, and what it told."""
    for sensor in sensors:
        started = clock()
        readings = sensor.read(root)
        yield sensor.name, (clock() - started) * 1e3, readings


class Sampler:
    """Snapshots at a fixed period while its block runs, one at its start and one at its end.

    Args:
      sensors: what to read.
      period_s: seconds from one to the next.
      root: the tree that sensors read.
      clock: seconds that only grow.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        period_s: float = 1.0,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sensors = tuple(sensors)
        self._period_s = period_s
        self._root = root
        self._clock = clock
        self._snapshots: deque[Snapshot] = deque(maxlen=_KEPT)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sensors", daemon=True)

    @property
    def snapshots(self) -> list[Snapshot]:
        """What was read so far, the oldest first; of very long spans the last 100,000."""
        return list(self._snapshots)

    def sample(self) -> Snapshot:
        """Reads all sensors now, and keeps it."""
        taken = Snapshot.of(self._clock(), read_all(self._sensors, self._root))
        self._snapshots.append(taken)
        return taken

    def __enter__(self) -> Sampler:
        self.sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.sample()

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self.sample()
