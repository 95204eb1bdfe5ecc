"""Reads `campaign.toml`: every key and value is checked before anything starts."""

from __future__ import annotations

import difflib
import importlib
import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfplus.campaign.plan import LOCAL, PHASES, Cell, Model, Plan
from tfplus.errors import DamagedFileError, MissingExtraError, UsageError
from tfplus.model_file import artifact
from tfplus.runtime.interpreter import MAX_THREADS
from tfplus.system.checked_json import Fields
from tfplus.system.files import read_capped

MOST_CELLS = 5_000
_MOST_BYTES = 1 << 20
_MOST_REPETITIONS, _MOST_ITERATIONS, _MOST_BATCH = 1_000, 1_000_000, 1 << 20
_KEYS = (
    "name", "devices", "models", "batch_sizes", "threads", "phases", "repetitions", "iterations",
    "seed", "reference", "max_drift", "timeout_s",
)  # fmt: skip
_MODEL_KEYS = ("name", "family", "depth", "width", "file", "input_shape", "classes")


class _Fields(Fields):
    error = UsageError

    def check_names(self, known: Sequence[str]) -> None:
        for name in self._raw:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                said = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)}"
                raise self._error(f"{self._path}{name}", f"unknown key; {said}")

    def some(self, name: str, minimum: int, maximum: int, default: Sequence[int]) -> list[int]:
        """A number or a list of different numbers of a range."""
        if name not in self:
            return list(default)
        single = isinstance(self._raw[name], int)
        values = (self.integer(name),) if single else self.integers(name)
        if not values or len(set(values)) < len(values):
            raise self.wrong(name, "at least one number, each once", list(values))
        for value in values:
            if not minimum <= value <= maximum:
                raise self.wrong(name, f"numbers from {minimum} to {maximum}", value)
        return list(values)

    def whole(self, name: str, default: int, maximum: int, minimum: int = 1) -> int:
        return self.integer(name, minimum, maximum) if name in self else default

    def positive(self, name: str, default: float) -> float:
        value = self.number(name) if name in self else default
        if value <= 0:
            raise self.wrong(name, "a number above 0", value)
        return value


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
    fields = _Fields(raw, document=source)
    fields.check_names(_KEYS)
    _devices(fields)
    threads = fields.some("threads", 1, MAX_THREADS, (1,))
    phases = _phases(fields)
    batches = fields.some("batch_sizes", 1, _MOST_BATCH, (32,))
    repetitions = fields.whole("repetitions", 5, _MOST_REPETITIONS)
    iterations = fields.whole("iterations", 30, _MOST_ITERATIONS, 2)
    entries = fields.objects("models")
    if not entries:
        raise fields.wrong("models", "at least one [[models]]", [])
    counts = [_count(entry, len(batches)) * len(phases) * len(threads) for entry in entries]
    if sum(counts) > MOST_CELLS:
        raise UsageError(
            f"{source}: expected at most {MOST_CELLS:,} cells, got {sum(counts):,} (models and "
            f"batch sizes × {len(phases)} phases × {len(threads)} numbers of threads): measure "
            "less, or in several campaigns"
        )
    models = dict.fromkeys(m for e in entries for m in _models(e, batches, folder))
    cells = tuple(Cell(m, p, t) for m, p, t in itertools.product(models, phases, threads))
    return Plan(
        name=fields.text("name"),
        cells=cells,
        reference=_reference(fields, cells),
        repetitions=repetitions,
        iterations=iterations,
        seed=fields.whole("seed", 0, 2**32 - 1, 0),
        max_drift=fields.positive("max_drift", 0.1),
        timeout_s=fields.positive("timeout_s", 600.0),
    )


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        return importlib.import_module("tomllib")
    try:
        return importlib.import_module("tomli")
    except ImportError:
        raise MissingExtraError.of("a campaign", "analysis") from None


def _devices(fields: _Fields) -> None:
    for device in fields.texts("devices") if "devices" in fields else (LOCAL,):
        if device != LOCAL:
            raise fields.wrong("devices", f"'{LOCAL}' alone: agents cannot be asked yet", device)


def _phases(fields: _Fields) -> tuple[str, ...]:
    phases = fields.texts("phases") if "phases" in fields else PHASES
    if not phases or set(phases) - set(PHASES) or len(set(phases)) < len(phases):
        raise fields.wrong("phases", f"of {', '.join(PHASES)} at least one, each once", phases)
    return phases


def _count(entry: _Fields, batches: int) -> int:
    if "file" in entry:
        return 1
    # Before a range is expanded: a list in TOML has the length that someone wrote.
    return math.prod(len(values) for values in _ranges(entry)) * batches


def _ranges(entry: _Fields) -> tuple[list[int], list[int]]:
    return entry.some("depth", 1, 64, (0,)), entry.some("width", 1, 4096, (0,))


def _models(entry: _Fields, batches: Iterable[int], folder: Path) -> list[Model]:
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
    return [Model(name, batch, False, shape, classes) for name in names for batch in batches]


def _reference(fields: _Fields, cells: Sequence[Cell]) -> Cell:
    if "reference" not in fields:
        return cells[0]
    wanted = fields.text("reference").removeprefix("zoo:")
    for cell in cells:
        if cell.model.name == wanted:
            return cell
    known = list(dict.fromkeys(cell.model.name for cell in cells))
    raise fields.wrong("reference", f"one of the models {', '.join(known[:8])}", wanted)
