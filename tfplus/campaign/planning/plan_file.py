"""Reads `campaign.toml`: every key and value is checked before anything starts."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfplus.benchmark.repetition import (
    ENERGY,
    FOREGROUND,
    LEARNING,
    OPERATIONS,
    PRIORITIES,
    TIMING,
)
from tfplus.campaign.planning import dimensions
from tfplus.campaign.planning.dimensions import Fields
from tfplus.campaign.planning.plan import LOCAL, PHASES, Cell, Model, Plan
from tfplus.errors import DamagedFileError, MissingExtraError, UsageError
from tfplus.model_file import artifact
from tfplus.runtime.accelerators import CPU, GPU
from tfplus.runtime.interpreter import MAX_THREADS
from tfplus.system.files import read_capped

MOST_CELLS = 5_000
_MOST_BYTES = 1 << 20
_MOST_REPETITIONS, _MOST_ITERATIONS, _MOST_BATCH = 1_000, 1_000_000, 1 << 20
_MOST_RETRIES = 20
_PASSES = (TIMING, ENERGY, OPERATIONS, LEARNING)
_ACCELERATORS = (CPU, GPU)
_KEYS = (
    "name", "devices", "models", "batch_sizes", "threads", "phases", "repetitions", "iterations",
    "seed", "reference", "max_drift", "drift_retries", "timeout_s", "passes", "accelerators",
    "lowerings", "priorities", "co_runners", "seconds", "idle_s", "gates", "device_threads",
    "data", "eval_data",
)  # fmt: skip
_MODEL_KEYS = ("name", "family", "depth", "width", "file", "input_shape", "classes")


def read(path: Path) -> Plan:
    """Reads and expands a campaign.

    Raises:
      UsageError: it is no TOML, or a key or a value is not what it should be.
      OSError: it cannot be read.
    """
    try:
        return parse(read_capped(path, _MOST_BYTES).decode(), str(path), path.parent)
    except (DamagedFileError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def parse(text: str, source: str = "campaign", folder: Path = Path()) -> Plan:
    """Reads and expands the text of a campaign.

    Args:
      text: TOML.
      source: what errors begin with.
      folder: what paths of models are relative to.

    Raises:
      UsageError: as for `read`.
    """
    tomllib = _toml()
    try:
        raw: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: expected TOML: {error}") from None
    fields = Fields(raw, document=source)
    fields.check_names(_KEYS)
    devices = dimensions.devices(fields)
    threads = fields.some("threads", 1, MAX_THREADS, (1,))
    places = dimensions.places(fields, list(devices), threads, MAX_THREADS)
    phases = fields.some_of("phases", PHASES, PHASES)
    accelerators = fields.some_of("accelerators", _ACCELERATORS, (CPU,))
    priorities = fields.some_of("priorities", PRIORITIES, (FOREGROUND,))
    co_runners = dimensions.co_runners(fields)
    passes = fields.some_of("passes", _PASSES, (TIMING,), least=0 if co_runners else 1)
    lowerings = dimensions.lowerings(fields, folder)
    is_needed = LEARNING in passes and LOCAL in devices.values()
    data, eval_data = dimensions.samples(fields, folder, is_needed=is_needed)
    batches = fields.some("batch_sizes", 1, _MOST_BATCH, (32,))
    entries = fields.objects("models")
    if not entries:
        raise fields.wrong("models", "at least one [[models]]", [])
    beside = (("",) if passes else ()) + co_runners
    each = len(phases) * len(places) * len(accelerators) * len(priorities) * len(beside)
    count = sum(_count(entry, len(batches) * len(lowerings)) for entry in entries) * each
    if count > MOST_CELLS:
        raise UsageError(
            f"{source}: expected at most {MOST_CELLS:,} cells, got {count:,} (models, batch sizes "
            f"and lowerings × {len(devices)} devices with their threads ({len(places)} in all) × "
            f"{len(phases)} phases and so on): measure less, or in several campaigns"
        )
    gpu = GPU in accelerators
    models = dict.fromkeys(m for e in entries for m in _models(e, batches, lowerings, gpu, folder))
    cells = tuple(
        Cell(model, phase, *place, *fixed)
        for model, phase, place, *fixed in itertools.product(
            models, phases, places, accelerators, priorities, beside
        )
    )
    return Plan(
        name=fields.text("name"),
        cells=cells,
        reference=_reference(fields, cells),
        repetitions=fields.whole("repetitions", 5, _MOST_REPETITIONS),
        iterations=fields.whole("iterations", 30, _MOST_ITERATIONS, 2),
        seed=fields.whole("seed", 0, 2**32 - 1, 0),
        max_drift=fields.positive("max_drift", 0.1),
        drift_retries=fields.whole("drift_retries", 0, _MOST_RETRIES, 0),
        timeout_s=fields.positive("timeout_s", 600.0),
        passes=passes,
        seconds=fields.seconds("seconds", 0.0),
        idle_s=fields.seconds("idle_s", 5.0),
        gates=dimensions.gates(fields),
        data=data,
        eval_data=eval_data,
        devices=devices,
    )


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        return importlib.import_module("tomllib")
    try:
        return importlib.import_module("tomli")
    except ImportError:
        raise MissingExtraError.of("a campaign", "analysis") from None


def _count(entry: Fields, batches: int) -> int:
    if "file" in entry:
        return 1
    # Before a range is expanded: a list in TOML has the length that someone wrote.
    return math.prod(len(values) for values in _ranges(entry)) * batches


def _ranges(entry: Fields) -> tuple[list[int], list[int]]:
    return entry.some("depth", 1, 64, (0,)), entry.some("width", 1, 4096, (0,))


def _models(
    entry: Fields,
    batches: Iterable[int],
    lowerings: Iterable[str],
    gpu: bool,
    folder: Path,
) -> list[Model]:
    entry.check_names(_MODEL_KEYS)
    given = [key for key in ("name", "family", "file") if key in entry]
    if len(given) != 1:
        raise entry.wrong("name", "one of name, family and file", given)
    if "file" in entry:
        path = (folder / entry.text("file")).resolve()
        return [Model(str(path), artifact.read(path).manifest.batch_size, is_file=True)]
    shape = entry.integers("input_shape", 1) if "input_shape" in entry else None
    classes = entry.integer("classes", 2) if "classes" in entry else None
    if "name" in entry:
        if "depth" in entry or "width" in entry:
            raise entry.wrong(
                "name", "a family where there is a depth or a width", entry.text("name")
            )
        names = [entry.text("name").removeprefix("zoo:")]
    else:
        family = entry.text("family")
        names = [f"{family}-d{d}-w{w}" for d, w in itertools.product(*_ranges(entry))]
        if "depth" not in entry or "width" not in entry:
            raise entry.wrong("family", "a depth and a width beside it", family)
    for name in names:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise entry.wrong("name", "the name of a model of the zoo (`tfplus models`)", name)
    return [
        Model(*chosen, accelerated=gpu)
        for chosen in itertools.product(names, batches, (False,), (shape,), (classes,), lowerings)
    ]


def _reference(fields: Fields, cells: Sequence[Cell]) -> Cell:
    chosen = cells[0]
    if "reference" in fields:
        wanted = fields.text("reference").removeprefix("zoo:")
        of_model = [cell for cell in cells if cell.model.name == wanted]
        if not of_model:
            known = list(dict.fromkeys(cell.model.name for cell in cells))
            raise fields.wrong("reference", f"one of the models {', '.join(known[:8])}", wanted)
        chosen = of_model[0]
    return dataclasses.replace(chosen, accelerator=CPU, priority=FOREGROUND, co_runner="")
