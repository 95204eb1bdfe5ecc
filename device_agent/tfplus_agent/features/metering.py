"""Measures what a command takes, and adds it up in the cache's folder by cause."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

from tfplus.errors import DataError
from tfplus.features import costs
from tfplus.features.costs import Cost
from tfplus.features.index import Index
from tfplus_agent.jobs.limits.ledger import Costs, Ledger
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.results import MemoryReading
from tfplus_agent.telemetry import energy


class Counting(Protocol):
    """What counts bytes of its messages, such as a client."""

    sent_bytes: int
    received_bytes: int


def cpu_seconds() -> float:
    """Of this process, and of its children that have ended."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def metered(
    folder: Path | None,
    cause: str,
    counting: Counting | None = None,
    *,
    meter: Meter | None = None,
    cpu_s: Callable[[], float] = cpu_seconds,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[None]:
    """Measures while the body runs, and adds it up, however the body ends.

    Args:
      folder: of the cache; None to measure nothing.
      cause: see `costs`.
      counting: what counts bytes meanwhile.
      meter: of the device's sensors; None for this machine's.
      cpu_s: seconds of the processor so far.
      clock: monotonic seconds.
    """
    if folder is None:
        yield
        return
    ledger = Ledger()

    def spend(spent: Costs) -> float:
        ledger.spend(spent)
        return float("inf")

    began, cpu_before = clock(), cpu_s()
    before = _bytes(counting)
    try:
        with (meter or Meter(MemoryReading)).running(spend):
            yield
    finally:
        told = ledger.total.energy
        widest = energy.widest([(e.source.partition(" ")[0], e.joules) for e in told])
        joules = joules_s = 0.0
        if widest is not None:
            source, joules = widest
            joules_s = max(e.seconds for e in told if e.source.startswith(source))
        sent, received = (now - then for now, then in zip(_bytes(counting), before, strict=True))
        spent = cpu_s() - cpu_before
        cost = Cost(cause, 1, clock() - began, spent, joules, joules_s, sent, received)
        _add(folder, cost)


def _add(folder: Path, cost: Cost) -> None:
    if not folder.is_dir():
        # Nothing was kept: the body refused before.
        return
    # A damaged index is whose matter reads features; what was done is done.
    with contextlib.suppress(sqlite3.Error, DataError):
        index = Index(folder)
        try:
            costs.add(index.db, cost)
        finally:
            index.close()


def _bytes(counting: Counting | None) -> tuple[int, int]:
    return (0, 0) if counting is None else (counting.sent_bytes, counting.received_bytes)
