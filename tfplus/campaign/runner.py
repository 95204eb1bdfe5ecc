"""Runs a campaign, or what is left of it, on all of its devices at once."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

from tfplus.campaign import devices, drifting, exporting, forecast, journal, lane
from tfplus.campaign.devices import Device
from tfplus.campaign.journal import Journal
from tfplus.campaign.lane import Progress, Shared, Show
from tfplus.campaign.planning.plan import Model, Plan
from tfplus.errors import ExportError, RemoteError, UsageError
from tfplus.measure import comparison, result_file
from tfplus.measure.result import Environment, Result
from tfplus.model_file import artifact
from tfplus.system.files import read_capped, sha256_of, write_atomic

PLAN_NAME, MODELS_NAME = "plan.json", "models"
_MOST_BYTES = 1 << 26


def run(
    plan: Plan,
    folder: Path,
    show: Show = lambda progress: None,
    *,
    models: Path | None = None,
    again: bool = False,
    open_device: devices.Open | None = None,
    export: exporting.Export = exporting.export,
    costs: Callable[[list[str]], Mapping[str, exporting.ZooCost]] = exporting.costs,
) -> None:
    """Runs what the folder has no result of yet.

    Args:
      plan: what is measured.
      folder: of the result; made where it is missing.
      show: is told of progress.
      models: where exported models are, or are put; None for a folder of the result.
      again: also what has failed before; its earlier failure stays in the journal.
      open_device: reaches a device; None for this machine and agents in plaintext.
      export: writes a model's file.
      costs: asks the zoo; finds unknown models before anything starts.

    Raises:
      UsageError: the folder holds another plan's result or is of another machine, the zoo has no
        such model, or the disk has too little room.
      BusyError: a campaign runs there.
      RemoteError: a device cannot be reached, or was lost; of the others everything is there.
      OSError: the disk is full; what came before is kept.
    """
    _check_plan(plan, folder)
    models = models or folder / MODELS_NAME
    is_new = not (folder / PLAN_NAME).exists()
    lacking = forecast.missing(plan, models)
    known = costs(sorted({m.name for m in lacking})) if is_new and lacking else {}
    if is_new:
        _check_disk(plan, folder, forecast.of(plan, models, known))
    reached, lost = _reach(plan, open_device or devices.opener(), is_new=is_new)
    try:
        if is_new:
            folder.mkdir(parents=True, exist_ok=True)
            described = {"sha256": plan.sha256, "plan": dataclasses.asdict(plan)}
            write_atomic(folder / PLAN_NAME, json.dumps(described, indent=1).encode())
        models.mkdir(parents=True, exist_ok=True)
        with journal.opened(folder) as book:
            _begin(book, {name: device.environment for name, device in reached.items()})
            if again:
                _forget_failures(book)
            files = _files(plan, models, book, export, show)
            lost |= _take(plan, models, files, book, reached, show)
            while not lost and (keys := drifting.to_run_anew(plan, book.events)):
                book.add("again", keys=keys, why=drifting.WHY)
                lost |= _take(plan, models, files, book, reached, show)
    finally:
        for device in reached.values():
            device.stop()
    if lost:
        told = "; ".join(f"{name}: {why}" for name, why in lost.items())
        raise RemoteError(
            f"{len(lost)} of {len(plan.devices)} devices did not come to their end ({told}): run "
            "the same command again, and what is missing runs"
        )


def _reach(
    plan: Plan, open_device: devices.Open, *, is_new: bool
) -> tuple[dict[str, Device], dict[str, str]]:
    """Devices by name, and why others are not there; at a campaign's begin all must be."""
    reached: dict[str, Device] = {}
    lost: dict[str, str] = {}
    for name, address in plan.devices.items():
        try:
            reached[name] = open_device(name, address)
        except RemoteError as error:
            lost[name] = str(error)
            if is_new:
                for device in reached.values():
                    device.stop()
                raise
    if not reached:
        raise RemoteError("; ".join(lost.values()))
    return reached, lost


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


def _begin(book: Journal, here: Mapping[str, Environment]) -> None:
    kept: dict[str, Any] = {}
    for event in book.events:
        if event["event"] == "start":
            kept = {**event["environments"], **kept}
    for name, now in here.items():
        before = dataclasses.replace(now, **kept[name]) if name in kept else now
        if unlike := comparison.differences(before, now):
            raise UsageError(
                f"{name}: the campaign began on another machine ({'; '.join(unlike)}): go on "
                "there, or begin it anew in another folder"
            )
    described = {
        name: result_file.to_json(Result("", "", now))["environment"] for name, now in here.items()
    }
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    book.add("start", at=at, environments=described)


def _forget_failures(book: Journal) -> None:
    failed = [
        key
        for key, event in journal.results(book.events).items()
        if "iteration_ms" in event["repetition"]["absent"]
    ]
    book.add("again", keys=failed)


def _files(
    plan: Plan, folder: Path, book: Journal, export: exporting.Export, show: Show
) -> dict[Model, Path | str]:
    """The file of each model, or why there is none."""
    told = journal.since_again(book.events)
    failed = {e["model"]: e["why"] for e in told if e["event"] == "not exported"}
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
    folder: Path,
    files: Mapping[Model, Path | str],
    book: Journal,
    reached: Mapping[str, Device],
    show: Show,
) -> dict[str, str]:
    """Runs all lanes; returns why devices were lost."""
    hashes = {m: sha256_of(f) for m, f in files.items() if isinstance(f, Path)}
    _check_models(book, hashes)
    _note_flops(book, hashes, files)
    done = frozenset(journal.results(book.events))
    cells = tuple(c for c in (*plan.cells, plan.reference) if c.model in hashes)
    part = dataclasses.replace(plan, cells=cells)
    forecasts = {f.cell: f for f in forecast.of(part, folder, {})}
    tally = lane.Tally(show, len(done), lane.total(plan))
    stopped = threading.Event()
    shared = Shared(plan, book, files, hashes, forecasts, tally, stopped)
    if len(reached) == 1:
        ((name, device),) = reached.items()
        why = lane.take(shared, name, device, done)
        return {name: why} if why else {}
    with futures.ThreadPoolExecutor(len(reached), thread_name_prefix="device") as threads:
        lanes = {n: threads.submit(lane.take, shared, n, d, done) for n, d in reached.items()}
        try:
            ended = futures.wait(lanes.values(), return_when=futures.FIRST_EXCEPTION)
            for one in ended.done:
                one.result()
        except BaseException:
            # After Ctrl-C, or a full disk, the other lanes end at once.
            stopped.set()
            for device in reached.values():
                device.stop()
            raise
    return {name: why for name, one in lanes.items() if (why := one.result())}


def _check_models(book: Journal, hashes: Mapping[Model, str]) -> None:
    kept: dict[str, Any] = {}
    for event in book.events:
        if event["event"] == "models":
            kept |= event["sha256"]
    told = {f"{m.name} {m.file_name}": value for m, value in hashes.items()}
    for name, value in told.items():
        if kept.get(name, value) != value:
            raise UsageError(
                f"{name.partition(' ')[0]}: the file is another than when the campaign began "
                f"({kept[name][:8]}, now {value[:8]}): put the old one back, or begin anew in "
                "another folder"
            )
    if told.keys() - kept.keys():
        book.add("models", sha256=told)


def _note_flops(
    book: Journal, hashes: Mapping[Model, str], files: Mapping[Model, Path | str]
) -> None:
    """What a training step of each model counts, for tables: the files may be gone by then."""
    if any(event["event"] == "flops" for event in book.events):
        return
    paths = {sha256: files[model] for model, sha256 in hashes.items()}
    flops = {s: artifact.read(Path(p)).manifest.flops_per_step for s, p in paths.items()}
    book.add("flops", by_sha256=flops)
