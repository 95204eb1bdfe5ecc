"""A plan on disk: a folder that is there whole or not at all.

`plan.json` says what was decided and holds the hash of every other file; `assignment.safetensors`
has the filters of each class and the preferences, `weights.safetensors` the slices of the whole
decoupled model, `model.keras` the model itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from tfplus.decoupling import slice_file
from tfplus.decoupling.plan import (
    ACTIVATIONS,
    FORMAT,
    Accuracy,
    Cost,
    Costs,
    DecoupledLayer,
    Plan,
)
from tfplus.errors import DamagedFileError, PlanError, UsageError
from tfplus.system.aside import PART, sync_directory
from tfplus.system.checked_json import Fields, parse
from tfplus.system.files import read_capped, sha256_of, write_atomic
from tfplus.tensors.slices import Tensors

PLAN_NAME = "plan.json"
MODEL_NAME = "model.keras"
ASSIGNMENT_NAME = "assignment.safetensors"
WEIGHTS_NAME = "weights.safetensors"
_FILES = (MODEL_NAME, ASSIGNMENT_NAME, WEIGHTS_NAME)
_MAX_JSON_BYTES = 16 << 20
_MAX_CLASSES = 100_000
_FILTERS, _PREFERENCE = "filters", "preference"


class _PlanFields(Fields):
    error = PlanError

    def mapping_or_none(self, name: str) -> dict[str, Any] | None:
        return None if self._raw.get(name) is None else self.mapping(name)


def is_plan(folder: Path) -> bool:
    """Whether a path is meant as a plan: any folder, so that an error says what it lacks."""
    return folder.is_dir()


def check_output(folder: Path) -> None:
    """Checks that a plan can be written, before the work.

    Raises:
      UsageError: there is something else than an empty folder, or no place for one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty directory; expected a new one for the plan")
    parent = folder.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"{parent}: no such directory for the plan, or not a writable one")


def write(folder: Path, plan: Plan, save_model: Callable[[Path], None]) -> Plan:
    """Writes a plan beside its place, and moves it there once it is whole.

    Args:
      folder: new, or empty.
      plan: its `plan_id` is set here.
      save_model: writes the decoupled Keras model to the path that it is given.

    Returns:
      The plan with its id.

    Raises:
      UsageError: see `check_output`.
      OSError: it cannot be written; nothing is left then.
    """
    check_output(folder)
    plan = dataclasses.replace(plan, plan_id=_plan_id(plan))
    target = folder.absolute()
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=PART))
    try:
        save_model(aside / MODEL_NAME)
        write_atomic(aside / ASSIGNMENT_NAME, save(_assignment(plan)))
        write_atomic(aside / WEIGHTS_NAME, save(_contiguous(plan.weights)))
        hashes = {name: sha256_of(aside / name) for name in _FILES}
        text = json.dumps(_described(plan, hashes), indent=1)
        write_atomic(aside / PLAN_NAME, f"{text}\n".encode())
        aside.chmod(0o755)
        aside.replace(target)
        sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return plan


def read(folder: Path) -> Plan:
    """Reads a plan and checks each file against the hash that `plan.json` holds.

    Raises:
      PlanError: it is no plan, of a newer format, or a file of it is missing, cut off or changed.
    """
    path = folder / PLAN_NAME
    if not path.is_file():
        raise PlanError(f"{folder}: no {PLAN_NAME} in it: expected a plan of `tfplus decouple`")
    try:
        raw = parse(read_capped(path, _MAX_JSON_BYTES))
    except DamagedFileError as error:
        raise PlanError(f"{path}: {error}; decouple the model again") from None
    fields = _PlanFields(raw, document=str(path))
    version = fields.integer("format", 1)
    if version != FORMAT:
        raise PlanError(f"{path}: is of format {version}, expected {FORMAT}: update tfplus")
    hashes = fields.text_mapping("files")
    for name in _FILES:
        _check_file(folder / name, hashes.get(name, ""))
    plan = _plan(fields, folder)
    if _plan_id(plan) != plan.plan_id:
        raise PlanError(
            f"{path}: its id is not that of its classes, filters and weights: it is of another "
            "model; decouple the model again"
        )
    return plan


def _described(plan: Plan, hashes: Mapping[str, str]) -> dict[str, Any]:
    costs = plan.costs
    return {
        "format": FORMAT,
        "plan_id": plan.plan_id,
        "files": dict(hashes),
        "source": plan.source,
        "classes": list(plan.classes),
        "share": plan.share,
        "overlap": plan.overlap,
        "shared_layer": plan.shared_layer,
        "classifier": plan.classifier,
        "activation": plan.activation,
        "output": plan.output,
        "layers": [
            {"name": e.name, "filters": e.preference.shape[1], "kept": e.filters.shape[1]}
            for e in plan.layers
        ],
        "scale": plan.scale,
        "offset": plan.offset,
        "scales_floats": plan.scales_floats,
        "optimizer": None if plan.optimizer is None else dict(plan.optimizer),
        "accuracy": dataclasses.asdict(plan.accuracy),
        "costs": {
            **{n: dataclasses.asdict(getattr(costs, n)) for n in ("original", "whole", "shared")},
            "branches": {str(c): dataclasses.asdict(cost) for c, cost in costs.branches.items()},
        },
    }


def _plan(fields: _PlanFields, folder: Path) -> Plan:
    assignment = slice_file.read(folder / ASSIGNMENT_NAME)
    weights = slice_file.read(folder / WEIGHTS_NAME)
    classes = fields.integers("classes", 0)
    if not 0 < len(classes) <= _MAX_CLASSES or len(set(classes)) < len(classes):
        raise fields.wrong("classes", "distinct labels", list(classes))
    accuracy, costs = fields.object("accuracy"), fields.object("costs")
    branches = dict(costs.object("branches").members())
    if set(branches) != {str(c) for c in classes}:
        raise fields.wrong("costs.branches", f"one for each class of {list(classes)}", [*branches])
    return Plan(
        plan_id=fields.text("plan_id"),
        source=fields.text("source"),
        classes=classes,
        share=fields.number("share"),
        overlap=fields.boolean("overlap"),
        shared_layer=fields.text("shared_layer"),
        classifier=fields.text("classifier"),
        activation=fields.choice("activation", ACTIVATIONS),
        output=fields.text("output"),
        layers=tuple(_layer(e, assignment, len(classes)) for e in fields.objects("layers")),
        scale=fields.number("scale"),
        offset=fields.number("offset"),
        scales_floats=fields.boolean("scales_floats"),
        accuracy=Accuracy(
            accuracy.text("data"),
            accuracy.integer("samples", 1),
            accuracy.number("before"),
            accuracy.number("pruned"),
            accuracy.number("recalibrated"),
            accuracy.number_or_none("fine_tuned"),
        ),
        costs=Costs(
            _cost(costs.object("original")),
            _cost(costs.object("whole")),
            _cost(costs.object("shared")),
            {c: _cost(branches[str(c)]) for c in classes},
        ),
        weights=weights,
        # A plan of an earlier tfplus has none.
        optimizer=fields.mapping_or_none("optimizer"),
    )


def _layer(fields: Fields, assignment: Tensors, classes: int) -> DecoupledLayer:
    name = fields.text("name")
    filters, kept = fields.integer("filters", 1), fields.integer("kept", 1)
    chosen = assignment.get(f"{name}/{_FILTERS}")
    preference = assignment.get(f"{name}/{_PREFERENCE}")
    if chosen is None or chosen.shape != (classes, kept) or chosen.dtype != np.int32:
        raise fields.wrong(_FILTERS, f"int32[{classes}, {kept}]", _form(chosen))
    if preference is None or preference.shape != (classes, filters):
        raise fields.wrong(_PREFERENCE, f"float32[{classes}, {filters}]", _form(preference))
    if chosen.min() < 0 or chosen.max() >= filters:
        raise fields.wrong(_FILTERS, f"indices from 0 to {filters - 1}", int(chosen.max()))
    return DecoupledLayer(name, preference.astype(np.float32), chosen.astype(np.int32))


def _cost(fields: Fields) -> Cost:
    return Cost(
        fields.integer_or_none("forward_flops"),
        fields.integer_or_none("step_flops"),
        fields.integer("parameters"),
    )


def _assignment(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in plan.layers:
        found[f"{layer.name}/{_FILTERS}"] = np.ascontiguousarray(layer.filters)
        found[f"{layer.name}/{_PREFERENCE}"] = np.ascontiguousarray(layer.preference)
    return found


def _contiguous(tensors: Tensors) -> dict[str, Any]:
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def _check_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise PlanError(f"{path}: is missing; decouple the model again")
    if sha256_of(path) != sha256:
        raise PlanError(
            f"{path}: does not match the SHA-256 in {PLAN_NAME}: it was cut off or changed, or is "
            "of another plan; decouple the model again"
        )


def _plan_id(plan: Plan) -> str:
    digest = hashlib.sha256(json.dumps([list(plan.classes), plan.classifier]).encode())
    tensors = {**_assignment(plan), **plan.weights}
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}\0{value.dtype.name}{list(value.shape)}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _form(value: Any) -> str:
    return "none" if value is None else f"{value.dtype.name}{list(value.shape)}"
