"""The repetitions of one device, one after the other, as far as they are missing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfplus.benchmark.repetition import Answer, Request
from tfplus.campaign.devices import Device
from tfplus.campaign.forecast import Forecast
from tfplus.campaign.journal import Journal
from tfplus.campaign.planning import schedule
from tfplus.campaign.planning.plan import Cell, Model, Plan
from tfplus.campaign.planning.schedule import Run
from tfplus.errors import RemoteError, UnreachableError, WorkerError
from tfplus.measure import result_file
from tfplus.measure.result import Configuration, Environment, Repetition, Result

_BACK_WITHIN_S = 60.0
# A run with which a device is lost this often is what loses it.
_MOST_LOSSES = 3
_NOWHERE = Environment(None, "", None, "", None, 0, None, None, "", "", None)


@dataclass(frozen=True)
class Progress:
    """How far a campaign is.

    Attributes:
      done: runs that have their result.
      total: all runs.
      what: happens now.
      left_s: how long the rest takes by what this start has taken, in seconds; None at first.
      repetition: what has just ended; None where nothing has.
    """

    done: int
    total: int
    what: str
    left_s: float | None = None
    repetition: Repetition | None = None


Show = Callable[[Progress], None]


class Tally:
    """Counts what all lanes have done, and tells who watches. Thread-safe.

    Args:
      show: is told of progress.
      done: runs that had their result before.
      total: all runs.
    """

    def __init__(self, show: Show, done: int, total: int) -> None:
        self._show = show
        self._done = done
        self._total = total
        self._taken = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def begin(self, what: str) -> None:
        """A run begins."""
        with self._lock:
            self._show(Progress(self._done, self._total, what, self._left_s()))

    def end(self, what: str, found: Repetition) -> None:
        """A run has ended."""
        with self._lock:
            self._done += 1
            self._taken += 1
            self._show(Progress(self._done, self._total, what, self._left_s(), found))

    def _left_s(self) -> float | None:
        if not self._taken:
            return None
        spent = time.monotonic() - self._began
        return spent / self._taken * (self._total - self._done)


@dataclass(frozen=True)
class Shared:
    """What all lanes of a campaign have in common.

    Attributes:
      plan: what is measured.
      book: what happened.
      files: the file of each model, or why there is none.
      hashes: SHA-256 of the files.
      forecasts: what each cell needs.
      tally: counts.
      stopped: set once nothing more is to be measured.
    """

    plan: Plan
    book: Journal
    files: Mapping[Model, Path | str]
    hashes: Mapping[Model, str]
    forecasts: Mapping[Cell, Forecast]
    tally: Tally
    stopped: threading.Event


def take(shared: Shared, name: str, device: Device, done: frozenset[str]) -> str:
    """Runs what a device has no result of.

    Args:
      shared: of all lanes.
      name: of the device.
      device: the device.
      done: keys of what has a result.

    Returns:
      Why the device was lost; empty where it has come to its end, or was stopped.

    Raises:
      OSError: the disk is full; what came before is kept.
    """
    for one in schedule.runs(shared.plan, name):
        losses = 0
        while one.key not in done and not shared.stopped.is_set():
            shared.tally.begin(str(one.cell))
            shared.book.add("begin", key=one.key)
            try:
                found, answer = _repetition(shared, one, device)
            except RemoteError as error:
                if shared.stopped.is_set():
                    break
                shared.book.add("lost", device=name, why=str(error))
                losses += 1
                # Who refuses would refuse again.
                may_return = isinstance(error, UnreachableError) and losses < _MOST_LOSSES
                if may_return and device.is_back(_BACK_WITHIN_S):
                    continue
                return str(error)
            if shared.stopped.is_set():
                # A process that is ended from here looks like one that failed.
                break
            _note(shared, one, found, answer)
            break
        if shared.stopped.is_set():
            return ""
    return ""


def _note(shared: Shared, one: Run, found: Repetition, answer: Answer | None) -> None:
    told: Any = json.loads(result_file.line(Result("", "", _NOWHERE, repetitions=(found,))))
    more: dict[str, Any] = {}
    if answer is not None and answer.operations:
        more["operations"] = [[o.operation, o.layer, o.phase, o.ms] for o in answer.operations]
    shared.book.add(
        "done",
        key=one.key,
        cell=None if one.reference else shared.plan.cells.index(one.cell),
        device=one.cell.device,
        block=one.block,
        reference=one.reference,
        kind=one.kind,
        repetition=told["repetitions"][0],
        **more,
    )
    shared.tally.end(str(one.cell), found)


def _repetition(shared: Shared, one: Run, device: Device) -> tuple[Repetition, Answer | None]:
    plan, cell, file = shared.plan, one.cell, shared.files[one.cell.model]
    sha256 = shared.hashes.get(cell.model)
    settings = {
        "threads": cell.threads,
        "phase": cell.phase,
        "batch_size": cell.model.batch_size,
        "accelerator": cell.accelerator,
        "priority": cell.priority,
        "co_runner": cell.co_runner,
        "pass": one.kind,
    }
    base = Configuration(cell.workload, cell.system, "", sha256, settings)

    def nothing(why: str) -> tuple[Repetition, None]:
        return Repetition(base, one.block, absent={"iteration_ms": why}), None

    if isinstance(file, str) or sha256 is None:
        return nothing(f"not exported: {file}")
    needed = shared.forecasts[cell].memory_bytes if cell in shared.forecasts else 0
    if needed > device.memory_bytes:
        return nothing(
            f"does not fit memory: needs about {needed / 1e6:,.0f} MB of "
            f"{device.memory_bytes / 1e6:,.0f} MB"
        )
    request = Request(
        path=str(file),
        phase=cell.phase,
        threads=cell.threads,
        iterations=plan.iterations,
        seconds=plan.seconds,
        kind=one.kind,
        accelerator=cell.accelerator,
        priority=cell.priority,
        co_runner=cell.co_runner,
        idle_s=plan.idle_s,
        gates=plan.gates,
        data=plan.data,
        eval_data=plan.eval_data,
    )
    try:
        answer = device.measure(request, file, sha256, plan.timeout_s)
    except WorkerError as error:
        return nothing(str(error))
    return (
        Repetition(
            replace(base, runtime=answer.runtime),
            one.block,
            has_own_process=True,
            blocks=answer.blocks(one.block, one.place),
            values=answer.values,
            absent=answer.absent,
        ),
        answer,
    )


def total(plan: Plan) -> int:
    """All runs of all devices."""
    return sum(len(schedule.runs(plan, name)) for name in plan.devices)
