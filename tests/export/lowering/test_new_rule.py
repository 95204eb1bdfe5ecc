"""The example of a new rule applies, is one file and one line, and trains as TensorFlow does."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import keras
import pytest
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.lowering.ops import elementwise
from tfplus_export.lowering.table import RULES
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages import trace
from tfplus_export.sources.source import Source

ROOT = Path(__file__).parents[3]
DIFF = ROOT / "docs" / "new-rule.diff"
LOWERING = Path("export/tfplus_export/lowering")


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """The lowering's folder with the example in it, a copy."""
    shutil.copytree(ROOT / LOWERING, tmp_path / LOWERING)
    subprocess.run(["git", "apply", str(DIFF)], cwd=tmp_path, check=True)
    return tmp_path / LOWERING


def test_it_is_one_new_file_and_one_line() -> None:
    lines = DIFF.read_text("utf-8").splitlines()
    hunks = [i for i, line in enumerate(lines) if line.startswith("--- ")]
    assert lines[hunks[0]] == "--- /dev/null"
    (table,) = hunks[1:]
    added = [line for line in lines[table + 2 :] if line[0] in "+-"]
    assert len(added) == 1


def test_a_model_that_needs_it_is_exported(
    applied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation=keras.ops.sin), layers.Dense(2)]
    )
    source = Source("test:wave", model, None, None, None, Preprocessing(), None)
    options, file = api.Options(2, parity_steps=1), tmp_path / "m.tflite"
    assert "Sin" not in RULES
    with pytest.raises(ExportError, match="Sin"):
        api.export(source, file, options, lambda text: None)
    folder = applied / "ops" / "elementwise"
    monkeypatch.setattr(elementwise, "__path__", [*elementwise.__path__, str(folder)])
    spec = importlib.util.spec_from_file_location("table_with_it", applied / "table.py")
    assert spec is not None and spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    assert table.RULES.keys() - RULES.keys() == {"Sin"}
    monkeypatch.setattr(trace, "RULES", table.RULES)
    written = api.export(source, file, options, lambda text: None)
    assert written.manifest.operators["SIN"] >= 1
    assert written.manifest.operators["COS"] >= 1
