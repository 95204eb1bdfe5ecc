"""Puts results of one plan on different devices together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfplus.campaign import journal, results
from tfplus.campaign.planning.plan import Cell, Plan
from tfplus.campaign.runner import PLAN_NAME
from tfplus.errors import UsageError
from tfplus.system.files import write_atomic

# What may differ between the plans of results that are merged.
_OWN = ("cells", "devices", "reference")


def merge(folders: Sequence[Path], target: Path) -> Plan:
    """Writes one result that holds several.

    Args:
      folders: results of plans that are equal but for their devices, and have none in common.
      target: a new folder.

    Returns:
      The plan of all.

    Raises:
      UsageError: fewer than two results, plans that differ, a device in two of them, or a folder
        that is there already.
      DataError: a folder holds no result.
    """
    if len(folders) < 2:
        raise UsageError("merge: expected at least two results")
    if target.exists():
        raise UsageError(f"{target}: exists already: choose another")
    plans = [results.read(folder).plan for folder in folders]
    merged = _merged(plans, folders)
    lines: list[dict[str, Any]] = []
    for plan, folder in zip(plans, folders, strict=True):
        for event in journal.read(folder):
            if event.get("cell") is not None:
                event["cell"] = merged.cells.index(plan.cells[event["cell"]])
            lines.append(event)
    # What holds for the whole comes first: the environments of all devices.
    lines.sort(key=lambda event: event["event"] != "start")
    target.mkdir(parents=True)
    content = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    write_atomic(target / journal.NAME, content.encode())
    described = {"sha256": merged.sha256, "plan": dataclasses.asdict(merged)}
    write_atomic(target / PLAN_NAME, json.dumps(described, indent=1).encode())
    return merged


def _merged(plans: Sequence[Plan], folders: Sequence[Path]) -> Plan:
    first = plans[0]
    devices: dict[str, str] = {}
    cells: dict[Cell, None] = {}
    for plan, folder in zip(plans, folders, strict=True):
        for name in (field.name for field in dataclasses.fields(Plan)):
            mine, other = getattr(first, name), getattr(plan, name)
            if name not in _OWN and mine != other:
                raise UsageError(
                    f"{folder}: the plan differs in {name} ({other}, in {folders[0]} {mine}): "
                    "expected plans that are equal but for their devices"
                )
        if dataclasses.replace(plan.reference, device="") != dataclasses.replace(
            first.reference, device=""
        ):
            raise UsageError(f"{folder}: the plan has another reference than {folders[0]}")
        for name, address in plan.devices.items():
            if name in devices:
                raise UsageError(
                    f"{folder}: the device '{name}' is in another result, too: blocks of two "
                    "campaigns on one device are no blocks of one"
                )
            devices[name] = address
        cells |= dict.fromkeys(plan.cells)
    return dataclasses.replace(first, cells=tuple(cells), devices=devices)
