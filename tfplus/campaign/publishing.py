"""A result fit for a repository: without names of devices and people, addresses and paths."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from tfplus.campaign import journal, results
from tfplus.campaign.planning.plan import Cell, Model, Plan
from tfplus.campaign.runner import PLAN_NAME
from tfplus.errors import UsageError
from tfplus.system.files import write_atomic

_HOME = re.compile(r"/(?:home|Users)/[^/\s:;,'\"]+|/root(?=/|$)|/data/data/com\.termux/files/home")
_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-fA-F:]*:[0-9a-fA-F:]+\](?::\d+)?"
)
_TEMPORARY = re.compile(r"/(?:tmp|var/tmp)/[^\s:;,'\"]*/")


def publish(folder: Path, target: Path, *, keep_names: bool = False) -> Plan:
    """Writes a copy of a result in which nothing personal is left.

    Devices are called `device-1` and so on; addresses, homes and paths of models are replaced, in
    messages too. What a machine is (model, processor, kernel) stays: numbers mean nothing without.

    Args:
      folder: of a result.
      target: a new folder.
      keep_names: leave the names of devices.

    Returns:
      The plan as it is published.

    Raises:
      UsageError: the target is there already.
      DataError: the folder holds no result.
    """
    if target.exists():
        raise UsageError(f"{target}: exists already: choose another")
    plan = results.read(folder).plan
    names = {
        name: name if keep_names or name == "local" else f"device-{number}"
        for number, name in enumerate(plan.devices, 1)
    }
    paths = _paths(plan)
    clean = _Cleaner(plan, names, paths)
    cells = tuple(_cell(cell, names, paths) for cell in plan.cells)
    published = dataclasses.replace(
        plan,
        cells=cells,
        reference=_cell(plan.reference, names, paths),
        data=paths.get(plan.data, ""),
        eval_data=paths.get(plan.eval_data, ""),
        devices={names[name]: "" for name in plan.devices},
    )
    lines = [json.dumps(clean.value(event), allow_nan=False) for event in journal.read(folder)]
    target.mkdir(parents=True)
    write_atomic(target / journal.NAME, "".join(f"{line}\n" for line in lines).encode())
    described = {"sha256": published.sha256, "plan": dataclasses.asdict(published)}
    write_atomic(target / PLAN_NAME, json.dumps(described, indent=1).encode())
    results.read(target).write_csv(target / "iterations.csv")
    return published


class _Cleaner:
    """Replaces what is personal in all texts of an event."""

    def __init__(self, plan: Plan, names: Mapping[str, str], paths: Mapping[str, str]) -> None:
        hosts: dict[str, str] = {}
        for name, address in plan.devices.items():
            if address != "local":
                hosts[address] = names[name]
                hosts[address.rpartition(":")[0]] = names[name]
        host = platform.node()
        if len(host) > 2:
            hosts.setdefault(host, "this-machine")
        own = {name: new for name, new in names.items() if name != new and len(name) > 1}
        words = {**own, **hosts, **paths}
        # The longest first: an address holds its host.
        ordered = sorted(words, key=len, reverse=True)
        self._words = words
        edge = r"(?<![A-Za-z0-9])(?:{})(?![A-Za-z0-9])"
        self._pattern = (
            re.compile(edge.format("|".join(map(re.escape, ordered)))) if words else None
        )

    def value(self, value: Any) -> Any:
        """The same without."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        if isinstance(value, dict):
            return {self._text(k): self.value(inner) for k, inner in value.items()}
        return value

    def _text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: self._words[found[0]], text)
        text = _TEMPORARY.sub("", text)
        return _ADDRESS.sub("(address)", _HOME.sub("~", text))


def _paths(plan: Plan) -> dict[str, str]:
    """Path → a name that no other has, of models, tuning files and samples."""
    found: dict[str, str] = {}
    of_models = (p for m in plan.models for p in (m.name if m.is_file else "", m.lowering))
    for path in (*of_models, plan.data, plan.eval_data):
        if path and path not in found:
            name = PurePath(path).name
            taken = sum(PurePath(other).name == name for other in found)
            stem, suffix = PurePath(name).stem, PurePath(name).suffix
            found[path] = f"{stem}-{taken + 1}{suffix}" if taken else name
    return found


def _cell(cell: Cell, names: Mapping[str, str], paths: Mapping[str, str]) -> Cell:
    model: Model = dataclasses.replace(
        cell.model,
        name=paths.get(cell.model.name, cell.model.name),
        lowering=paths.get(cell.model.lowering, ""),
    )
    return dataclasses.replace(cell, model=model, device=names[cell.device])
