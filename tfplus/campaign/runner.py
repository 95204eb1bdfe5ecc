"""Runs a campaign, or what is left of it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.campaign import exporting, forecast, journal, schedule, worker
from tfplus.campaign.journal import Journal
from tfplus.campaign.plan import Cell, Model, Plan
from tfplus.campaign.schedule import Run
from tfplus.errors import ExportError, UsageError, WorkerError
from tfplus.measure import comparison, environment, result_file
from tfplus.measure.result import Configuration, Environment, Repetition, Result
from tfplus.system import memory
from tfplus.system.files import read_capped, sha256_of, write_atomic

PLAN_NAME, MODELS_NAME = "plan.json", "models"
_MOST_BYTES = 1 << 26


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


def run(
    plan: Plan,
    folder: Path,
    show: Show = lambda progress: None,
    *,
    measure: worker.Measure = worker.measure,
    export: exporting.Export = exporting.export,
    costs: Callable[[list[str]], Mapping[str, exporting.ZooCost]] = exporting.costs,
    read_environment: Callable[[], Environment] = environment.read,
) -> None:
    """Runs what the folder has no result of yet.

    Args:
      plan: what is measured.
      folder: of the result; made where it is missing.
      show: is told of progress.
      measure: runs one repetition.
      export: writes a model's file.
      costs: asks the zoo; finds unknown models before anything starts.
      read_environment: of this machine.

    Raises:
      UsageError: the folder holds another plan's result or is of another machine, the zoo has no
        such model, or the disk has too little room.
      BusyError: a campaign runs there.
      OSError: the disk is full; what came before is kept.
    """
    _check_plan(plan, folder)
    models = folder / MODELS_NAME
    lacking = forecast.missing(plan, models)
    here = read_environment()
    known = costs(sorted({m.name for m in lacking})) if _needs_zoo(lacking, folder) else {}
    if not (folder / PLAN_NAME).exists():
        _check_disk(plan, folder, forecast.of(plan, models, known))
        models.mkdir(parents=True, exist_ok=True)
        described = {"sha256": plan.sha256, "plan": dataclasses.asdict(plan)}
        write_atomic(folder / PLAN_NAME, json.dumps(described, indent=1).encode())
    with journal.opened(folder) as book:
        _begin(book, here)
        files = _files(plan, models, book, export, show)
        _take(plan, files, book, measure, show)


def _needs_zoo(lacking: list[Model], folder: Path) -> bool:
    return bool(lacking) and not (folder / PLAN_NAME).exists()


def _check_plan(plan: Plan, folder: Path) -> None:
    path = folder / PLAN_NAME
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder}: expected a new folder or that of a result, it is neither")
        return
    told = json.loads(read_capped(path, _MOST_BYTES))
    if told.get("sha256") != plan.sha256:
        raise UsageError(
            f"{folder}: holds the result of another plan ({told['plan']['name']}, "
            f"{told['sha256'][:8]}; this one is {plan.name}, {plan.sha256[:8]}): choose another "
            "folder, or take back what was changed in the plan"
        )


def _check_disk(plan: Plan, folder: Path, forecasts: list[forecast.Forecast]) -> None:
    needed = forecast.disk_bytes(plan, forecasts)
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UsageError(
            f"{folder}: expected about {needed / 1e6:,.0f} MB of free disk for models and times, "
            f"there are {free / 1e6:,.0f} MB: free some, or choose another folder"
        )


def _begin(book: Journal, here: Environment) -> None:
    starts = [e for e in book.events if e["event"] == "start"]
    described = result_file.to_json(Result("", "", here))["environment"]
    if starts:
        kept = dataclasses.replace(here, **starts[0]["environment"])
        if unlike := comparison.differences(kept, here):
            raise UsageError(
                f"the campaign began on another machine ({'; '.join(unlike)}): go on there, or "
                "begin it anew in another folder"
            )
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    book.add("start", at=now, environment=described)


def _files(
    plan: Plan, folder: Path, book: Journal, export: exporting.Export, show: Show
) -> dict[Model, Path | str]:
    """The file of each model, or why there is none."""
    failed = {e["model"]: e["why"] for e in book.events if e["event"] == "not exported"}
    found: dict[Model, Path | str] = {}
    for number, model in enumerate(plan.models):
        path = forecast.path_of(model, folder)
        if not path.is_file() and path.name not in failed:
            show(Progress(number, len(plan.models), f"exporting {path.name}"))
            try:
                export(model, path)
            except ExportError as error:
                failed[path.name] = str(error)
                book.add("not exported", model=path.name, why=str(error))
        found[model] = path if path.is_file() else failed[path.name]
    return found


def _take(
    plan: Plan,
    files: Mapping[Model, Path | str],
    book: Journal,
    measure: worker.Measure,
    show: Show,
) -> None:
    forecasts = {}
    if exported := [m for m in plan.models if isinstance(files[m], Path)]:
        folder = next(
            (f.parent for m in exported if isinstance(f := files[m], Path) and not m.is_file),
            Path(),
        )
        cells = tuple(c for c in plan.cells if c.model in exported)
        part = dataclasses.replace(plan, cells=cells)
        forecasts = {f.cell: f for f in forecast.of(part, folder, {})}
    hashes = {m: sha256_of(f) for m, f in files.items() if isinstance(f, Path)}
    _check_models(book, hashes)
    done = {e["key"] for e in book.events if e["event"] == "done"}
    order = schedule.runs(plan, plan.cells)
    taken, began = 0, time.monotonic()
    for number, one in enumerate(order):
        key = key_of(one)
        if key in done:
            continue
        left = (time.monotonic() - began) / taken * (len(order) - number) if taken else None
        show(Progress(number, len(order), str(one.cell), left))
        book.add("begin", key=key)
        found = _repetition(plan, one, files, forecasts, hashes, measure)
        told = json.loads(result_file.line(Result("", "", _NOWHERE, repetitions=(found,))))
        book.add(
            "done",
            key=key,
            cell=plan.cells.index(one.cell),
            block=one.block,
            reference=one.reference,
            repetition=told["repetitions"][0],
        )
        taken += 1
        show(Progress(number + 1, len(order), str(one.cell), left, found))


_NOWHERE = Environment(None, "", None, "", None, 0, None, None, "", "", None)


def key_of(one: Run) -> str:
    """Names a run in the journal."""
    kind = one.reference or "cell"
    return f"{one.block}/{kind}/{one.cell}"


def _check_models(book: Journal, hashes: Mapping[Model, str]) -> None:
    kept: dict[str, Any] = {}
    for event in book.events:
        if event["event"] == "models":
            kept |= event["sha256"]
    told = {f"{m.name} {m.batch_size}": value for m, value in hashes.items()}
    for name, value in told.items():
        if kept.get(name, value) != value:
            raise UsageError(
                f"{name}: the file is another than when the campaign began ({kept[name][:8]}, now "
                f"{value[:8]}): put the old one back, or begin anew in another folder"
            )
    if told.keys() - kept.keys():
        book.add("models", sha256=told)


def _repetition(
    plan: Plan,
    one: Run,
    files: Mapping[Model, Path | str],
    forecasts: Mapping[Cell, forecast.Forecast],
    hashes: Mapping[Model, str],
    measure: worker.Measure,
) -> Repetition:
    cell, file = one.cell, files[one.cell.model]
    base = Configuration(
        cell.workload,
        cell.system,
        "",
        hashes.get(cell.model),
        {"threads": cell.threads, "phase": cell.phase, "batch_size": cell.model.batch_size},
    )
    if isinstance(file, str):
        return Repetition(base, one.block, absent={"iteration_ms": f"not exported: {file}"})
    needs = forecasts[cell]
    if not needs.fits:
        why = (
            f"does not fit memory: needs about {needs.memory_bytes / 1e6:,.0f} MB of "
            f"{memory.total_bytes() / 1e6:,.0f} MB"
        )
        return Repetition(base, one.block, absent={"iteration_ms": why})
    request = worker.Request(str(file), cell.phase, cell.threads, plan.iterations)
    try:
        answer = measure(request, plan.timeout_s)
    except WorkerError as error:
        return Repetition(base, one.block, absent={"iteration_ms": str(error)})
    return Repetition(
        dataclasses.replace(base, runtime=answer.runtime),
        one.block,
        has_own_process=True,
        blocks=answer.blocks(one.block, one.place),
        values=answer.values,
    )
