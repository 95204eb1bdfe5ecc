"""Reads the folder of a campaign back: whole, or as far as it is."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.campaign import journal
from tfplus.campaign.plan import Cell, Model, Plan
from tfplus.campaign.runner import PLAN_NAME
from tfplus.campaign.schedule import BEGIN, END
from tfplus.errors import DamagedFileError, DataError
from tfplus.measure import result_file
from tfplus.measure.result import Repetition, Result
from tfplus.system.checked_json import parse
from tfplus.system.files import read_capped

_MOST_BYTES = 1 << 26
COLUMNS = (
    "model", "batch_size", "phase", "device", "threads", "repetition", "reference", "iteration",
    "is_warm_up", "time_ms", "runtime", "model_sha256",
)  # fmt: skip


@dataclass(frozen=True)
class Campaign:
    """What a campaign has measured so far.

    Attributes:
      plan: that it follows.
      result: all repetitions of cells in the common schema, with the environment.
      by_cell: the repetitions of each cell, in the order of blocks.
      references: block → the reference at its begin and at its end, as far as they ran.
    """

    plan: Plan
    result: Result
    by_cell: Mapping[Cell, tuple[Repetition, ...]]
    references: Mapping[int, Mapping[str, Repetition]]

    def drift(self, block: int) -> float | None:
        """How far the reference moved in a block: end ÷ begin − 1; None where one is missing."""
        ends = self.references.get(block, {})
        first = ends[BEGIN].median_ms if BEGIN in ends else None
        last = ends[END].median_ms if END in ends else None
        return None if first is None or last is None else last / first - 1

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row an iteration, of `COLUMNS`; those of the reference too."""
        for cell, repetitions in self.by_cell.items():
            for repetition in repetitions:
                yield from _rows(cell, repetition, "")
        for ends in self.references.values():
            for name, repetition in ends.items():
                yield from _rows(self.plan.reference, repetition, name)

    def write_csv(self, path: Path) -> None:
        """Writes the rows with a heading."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(self.rows())


def read(folder: Path) -> Campaign:
    """Reads a result.

    Raises:
      DataError: it is none, or damaged.
    """
    plan = _plan(folder / PLAN_NAME)
    events = journal.read(folder)
    starts = [e for e in events if e["event"] == "start"]
    by_cell: dict[Cell, list[Repetition]] = {cell: [] for cell in plan.cells}
    references: dict[int, dict[str, Repetition]] = {}
    try:
        first = starts[0]
        done = [e for e in events if e["event"] == "done"]
        described = {
            "benchmark": f"tfplus campaign {plan.name}",
            "started_at": first["at"],
            "environment": first["environment"],
            "settings": {"plan_sha256": plan.sha256, "seed": plan.seed},
            "schema_version": result_file.SCHEMA_VERSION,
        }
        every = result_file.from_json(
            {**described, "repetitions": [e["repetition"] for e in done]}, str(folder)
        )
        for event, repetition in zip(done, every.repetitions, strict=True):
            if event["reference"]:
                references.setdefault(event["block"], {})[event["reference"]] = repetition
            else:
                by_cell[plan.cells[event["cell"]]].append(repetition)
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{folder}: the journal lacks what a result needs: {error!r}") from None
    kept = tuple(r for repetitions in by_cell.values() for r in repetitions)
    result = Result(every.benchmark, every.started_at, every.environment, every.settings, kept)
    return Campaign(plan, result, {c: tuple(r) for c, r in by_cell.items()}, references)


def load(path: str | Path) -> Any:
    """The iterations of a campaign as a pandas DataFrame, a row an iteration.

    Args:
      path: the folder of a result.

    Returns:
      A frame of the columns `model`, `batch_size`, `phase`, `device`, `threads`, `repetition`,
      `reference` (`begin` or `end` of a block, else empty), `iteration`, `is_warm_up`, `time_ms`,
      `runtime`, `model_sha256`.

    Raises:
      DataError: it is no result.
      MissingExtraError: pandas is not installed.
    """
    import importlib

    from tfplus.errors import MissingExtraError

    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        raise MissingExtraError.of("a DataFrame", "campaign") from None
    return pandas.DataFrame(list(read(Path(path)).rows()), columns=list(COLUMNS))


def _plan(path: Path) -> Plan:
    try:
        told: Any = parse(read_capped(path, _MOST_BYTES))
        value: dict[str, Any] = told["plan"]
        cells = tuple(_cell(raw) for raw in value.pop("cells"))
        fields: dict[str, Any] = {**value, "cells": cells, "reference": _cell(value["reference"])}
        found = Plan(**fields)
        if found.sha256 != told["sha256"]:
            raise KeyError("its hash is another")
        return found
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}: expected the folder of a result of `tfplus campaign run`"
        ) from None
    except (DamagedFileError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no plan of this tfplus: {error}") from None


def _cell(raw: dict[str, Any]) -> Cell:
    shape = raw["model"]["input_shape"]
    model: dict[str, Any] = {**raw["model"], "input_shape": shape and tuple(shape)}
    fields: dict[str, Any] = {**raw, "model": Model(**model)}
    return Cell(**fields)


def _rows(cell: Cell, repetition: Repetition, reference: str) -> Iterator[tuple[Any, ...]]:
    ran, number = repetition.configuration, 0
    for block in repetition.blocks:
        for time_ms in block.iteration_ms:
            yield (
                cell.model.name, cell.model.batch_size, cell.phase, cell.device, cell.threads,
                repetition.number, reference, number, block.is_warm_up, time_ms, ran.runtime,
                ran.model_sha256,
            )  # fmt: skip
            number += 1
