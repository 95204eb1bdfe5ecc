"""Reads the folder of a campaign back: whole, or as far as it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tfplus.benchmark.repetition import (
    ENERGY,
    INTERFERENCE,
    KINDS,
    LEARNING,
    OPERATIONS,
    TIMING,
    Gates,
    Operation,
)
from tfplus.campaign import drifting, journal
from tfplus.campaign.planning import schedule
from tfplus.campaign.planning.plan import Cell, Model, Plan
from tfplus.campaign.runner import PLAN_NAME
from tfplus.errors import DamagedFileError, DataError
from tfplus.measure import result_file
from tfplus.measure.result import Environment, Repetition, Result
from tfplus.system.checked_json import parse
from tfplus.system.files import read_capped, write_atomic

_MOST_BYTES = 1 << 26
_ROWS_AT_ONCE = 10_000
_NOWHERE = Environment(None, "", None, "", None, 0, None, None, "", "", None)
COLUMNS = (
    "model", "batch_size", "phase", "device", "threads", "repetition", "reference", "iteration",
    "is_warm_up", "time_ms", "runtime", "model_sha256", "accelerator", "priority", "co_runner",
    "lowering", "pass",
)  # fmt: skip


@dataclass(frozen=True)
class Campaign:
    """What a campaign has measured so far.

    Attributes:
      plan: that it follows.
      result: all repetitions of cells in the common schema, with the environment.
      by_cell: the timed repetitions of each cell, in the order of blocks.
      references: (device, block) → the reference at its begin and at its end, as far as they ran.
      energy: those of its energy pass, of each cell that has one.
      operations: those of its operations pass, likewise.
      breakdowns: the operations of each of those, in the same order.
      learning: those of its learning pass, likewise.
      environments: device → what it is.
      flops: of a training step of each model, as far as known.
      anew: (device, block) → how often it was measured anew because it drifted.
    """

    plan: Plan
    result: Result
    by_cell: Mapping[Cell, tuple[Repetition, ...]]
    references: Mapping[tuple[str, int], Mapping[str, Repetition]]
    energy: Mapping[Cell, tuple[Repetition, ...]] = field(default_factory=dict[Cell, Any])
    operations: Mapping[Cell, tuple[Repetition, ...]] = field(default_factory=dict[Cell, Any])
    breakdowns: Mapping[Cell, tuple[tuple[Operation, ...], ...]] = field(
        default_factory=dict[Cell, Any]
    )
    learning: Mapping[Cell, tuple[Repetition, ...]] = field(default_factory=dict[Cell, Any])
    environments: Mapping[str, Environment] = field(default_factory=dict[str, Environment])
    flops: Mapping[Model, int] = field(default_factory=dict[Model, int])
    anew: Mapping[tuple[str, int], int] = field(default_factory=dict[Any, int])

    def drift(self, device: str, block: int) -> float | None:
        """How far the reference moved in a block: end ÷ begin − 1; None where one is missing."""
        return drifting.drift(self.references.get((device, block), {}))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row an iteration, of `COLUMNS`; those of the reference too."""
        kinds = ((self.by_cell, ""), (self.energy, ENERGY), (self.learning, LEARNING))
        for by_cell, kind in kinds:
            for cell, repetitions in by_cell.items():
                for repetition in repetitions:
                    yield from _rows(cell, repetition, "", kind or self.plan.kinds(cell)[0])
        for (device, _), ends in self.references.items():
            cell = schedule.reference_on(self.plan, device)
            for name, repetition in ends.items():
                yield from _rows(cell, repetition, name, TIMING)

    def write_csv(self, path: Path) -> None:
        """Writes the rows with a heading; the file is whole or the one before stays."""
        write_atomic(path, self._csv())

    def _csv(self) -> Iterator[bytes]:
        rows = chain([COLUMNS], self.rows())
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(some)
            yield out.getvalue().encode()


def read(folder: Path) -> Campaign:
    """Reads a result.

    Raises:
      DataError: it is none, or damaged.
    """
    plan = _plan(folder / PLAN_NAME)
    events = journal.read(folder)
    kept: dict[str, dict[Cell, list[Repetition]]] = {kind: {} for kind in KINDS}
    kept[TIMING] = {cell: [] for cell in plan.cells}
    references: dict[tuple[str, int], dict[str, Repetition]] = {}
    breakdowns: dict[Cell, list[tuple[Operation, ...]]] = {}
    try:
        starts = [e for e in events if e["event"] == "start"]
        environments: dict[str, Any] = {}
        for start in reversed(starts):
            environments |= start["environments"]
        done = list(journal.results(events).values())
        every = _result(plan, starts[0]["at"], environments, done, str(folder))
        for event, repetition in zip(done, every.repetitions, strict=True):
            if event["reference"]:
                ends = references.setdefault((event["device"], event["block"]), {})
                ends[event["reference"]] = repetition
                continue
            cell, kind = plan.cells[event["cell"]], event["kind"]
            # What runs beside a co-runner is the number of such a cell.
            kind = TIMING if kind == INTERFERENCE else kind
            kept[kind].setdefault(cell, []).append(repetition)
            if "operations" in event:
                rows = tuple(Operation(*row) for row in event["operations"])
                breakdowns.setdefault(cell, []).append(rows)
        described = {name: _environment(told, str(folder)) for name, told in environments.items()}
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{folder}: the journal lacks what a result needs: {error!r}") from None
    return Campaign(
        plan,
        every,
        {c: tuple(r) for c, r in kept[TIMING].items()},
        references,
        {c: tuple(r) for c, r in kept[ENERGY].items()},
        {c: tuple(r) for c, r in kept[OPERATIONS].items()},
        {c: tuple(r) for c, r in breakdowns.items()},
        {c: tuple(r) for c, r in kept[LEARNING].items()},
        described,
        _flops(events, plan, every),
        drifting.times_anew(events),
    )


def _flops(events: list[dict[str, Any]], plan: Plan, every: Result) -> dict[Model, int]:
    known: dict[str, int] = {}
    for event in events:
        if event["event"] == "flops":
            known |= event["by_sha256"]
    hashes = {r.configuration.workload: r.configuration.model_sha256 for r in every.repetitions}
    return {
        cell.model: count
        for cell in plan.cells
        if (count := known.get(hashes.get(cell.workload) or "", 0))
    }


def _result(
    plan: Plan, at: str, environments: Mapping[str, Any], done: list[Any], source: str
) -> Result:
    first = next(n for n in (*plan.devices, *environments) if n in environments)
    described = {
        "benchmark": f"tfplus campaign {plan.name}",
        "started_at": at,
        "environment": environments[first],
        "settings": {"plan_sha256": plan.sha256, "seed": plan.seed},
        "schema_version": result_file.SCHEMA_VERSION,
    }
    return result_file.from_json(
        {**described, "repetitions": [e["repetition"] for e in done]}, source
    )


def _environment(told: Any, source: str) -> Environment:
    empty = result_file.to_json(Result("", "", _NOWHERE))
    return result_file.from_json(
        {**empty, "environment": told, "repetitions": []}, source
    ).environment


def _plan(path: Path) -> Plan:
    try:
        told: Any = parse(read_capped(path, _MOST_BYTES))
        value: dict[str, Any] = told["plan"]
        cells = tuple(_cell(raw) for raw in value.pop("cells"))
        fields: dict[str, Any] = {
            **value,
            "cells": cells,
            "reference": _cell(value["reference"]),
            "passes": tuple(value["passes"]),
            "gates": Gates(**value["gates"]),
        }
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


def _rows(
    cell: Cell, repetition: Repetition, reference: str, kind: str
) -> Iterator[tuple[Any, ...]]:
    ran, number = repetition.configuration, 0
    for block in repetition.blocks:
        for time_ms in block.iteration_ms:
            yield (
                cell.model.name, cell.model.batch_size, cell.phase, cell.device, cell.threads,
                repetition.number, reference, number, block.is_warm_up, time_ms, ran.runtime,
                ran.model_sha256, cell.accelerator, cell.priority, cell.co_runner,
                cell.model.lowering, kind,
            )  # fmt: skip
            number += 1
