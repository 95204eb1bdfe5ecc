"""`tfplus inspect`: the same facts for scripts and for people."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.model_file.artifact import Artifact


def test_json_holds_the_manifest_and_the_hash(toy: Artifact) -> None:
    result = CliRunner().invoke(app, ["inspect", str(toy.path), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["sha256"] == hashlib.sha256(toy.path.read_bytes()).hexdigest()
    assert found["size_bytes"] == toy.path.stat().st_size
    assert found["operators"] == {"BATCH_MATMUL": 3, "ADD": 2}
    assert found["flex_operators"] == []
    assert found["parameters"] == 18
    assert found["batch_size"] == 8
    assert found["outputs"][0]["loss"]["name"] == "sparse_categorical_crossentropy"
    assert found["optimizer"]["learning_rate"] == 0.1
    assert found["parity"] == {"steps": 3, "max_relative_loss_error": 1e-7}
    assert set(found["signatures"]) == {"train", "infer", "save", "restore"}
    assert found["signatures"]["train"]["inputs"]["y"] == {"shape": [8], "dtype": "int32"}
    assert found["variables"][0]["name"] == "shared/dense/kernel"
    manifest = json.loads(toy.manifest.to_json())
    assert {k: found[k] for k in manifest} == manifest


def test_people_see_the_same(toy: Artifact) -> None:
    result = CliRunner().invoke(app, ["inspect", str(toy.path)])
    assert result.exit_code == 0
    for words in (
        toy.sha256,
        "task/7/dense/kernel",
        "BATCH_MATMUL",
        "float32[8, 4]",
        "4×3",
        "7 2",
        "padding -1",
    ):
        assert words in result.stdout


def test_a_name_with_markup_is_shown_as_it_is(toy: Artifact, make_artifact: object) -> None:
    assert callable(make_artifact)
    odd = make_artifact("odd.tflite", name="[red]x[/red]")
    assert "[red]x[/red]" in CliRunner().invoke(app, ["inspect", str(odd.path)]).stdout


def test_bad_files(toy: Artifact, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(toy.path.read_bytes()[:-10])
    for path in (tmp_path / "none.tflite", cut, Path(__file__)):
        result = CliRunner().invoke(app, ["inspect", str(path), "--json"])
        assert result.exit_code == 3
        assert result.stdout == ""
        assert result.stderr.startswith(f"error: {path}: ")
