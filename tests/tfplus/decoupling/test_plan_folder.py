"""A plan on disk: what was written comes back, and damage of any file is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Plan
from tfplus.errors import PlanError, UsageError
from tfplus.system.files import sha256_of


def test_a_plan_comes_back_as_it_was_written(folder: Path, plan: Plan) -> None:
    read = plan_folder.read(folder)
    assert len(read.plan_id) == 64
    assert read.tag == f"plan:{read.plan_id[:16]}"
    for field in ("classes", "share", "overlap", "accuracy", "costs", "classifier", "scale"):
        assert getattr(read, field) == getattr(plan, field), field
    for ours, theirs in zip(plan.layers, read.layers, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours.filters, theirs.filters)
        np.testing.assert_array_equal(ours.preference, theirs.preference)
    assert {n: v.tobytes() for n, v in read.weights.items()} == {
        n: v.tobytes() for n, v in plan.weights.items()
    }


@pytest.mark.parametrize("name", ["assignment.safetensors", "weights.safetensors", "model.keras"])
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "cut" else bytes([content[-1] ^ 1])))
    with pytest.raises(PlanError, match=name):
        plan_folder.read(folder)


def test_every_cut_of_the_description_is_an_error(folder: Path) -> None:
    path = folder / "plan.json"
    content = path.read_bytes()
    for size in range(0, len(content) - 2, 37):
        path.write_bytes(content[:size])
        with pytest.raises(PlanError, match=r"plan\.json"):
            plan_folder.read(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", [4, 4, 2]),
        ("classes", [4, 7]),
        ("activation", "relu"),
        ("layers", [{"name": "conv2", "filters": 8, "kept": 3}]),
        ("layers", [{"name": "conv9", "filters": 8, "kept": 2}]),
        ("layers", [{"name": "conv2", "filters": 5, "kept": 2}]),
        ("accuracy", {}),
        ("share", "0.1"),
        ("format", 2),
    ],
)
def test_a_wrong_field_is_named(folder: Path, field: str, value: object) -> None:
    path = folder / "plan.json"
    raw = json.loads(path.read_text()) | {field: value}
    path.write_text(json.dumps(raw))
    with pytest.raises(PlanError, match=r"plan\.json"):
        plan_folder.read(folder)


def test_weights_of_another_plan_are_refused_even_with_their_hash(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["shared/conv1/bias"] = weights["shared/conv1/bias"] + 1
    save_file(weights, folder / "weights.safetensors")
    path = folder / "plan.json"
    raw = json.loads(path.read_text())
    raw["files"]["weights.safetensors"] = sha256_of(folder / "weights.safetensors")
    path.write_text(json.dumps(raw))
    with pytest.raises(PlanError, match="of another model"):
        plan_folder.read(folder)


def test_a_folder_that_is_no_plan_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"no plan\.json in it"):
        plan_folder.read(tmp_path)


def test_nothing_is_left_where_writing_fails(tmp_path: Path, plan: Plan) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        plan_folder.write(tmp_path / "plan", plan, fail)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(folder: Path, plan: Plan) -> None:
    with pytest.raises(UsageError, match="not an empty directory"):
        plan_folder.write(folder, plan, lambda path: None)
    assert plan_folder.read(folder).plan_id
