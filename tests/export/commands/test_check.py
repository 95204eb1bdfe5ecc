"""`tfplus check`: everything that stops an export at once, and what a step would cost."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import keras
import pytest
from keras import layers
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus_export.lowering.engine.survey import survey
from tfplus_export.lowering.table import RULES
from tfplus_export.tracing.graph import trace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

MODELS = """
import keras
import numpy as np
from keras import layers, ops

class Sorted(layers.Layer):
    def call(self, x):
        return ops.sort(x)

class Deep(layers.Layer):
    def call(self, x):
        return ops.reshape(ops.exp(ops.reshape(x, (-1, 1, 2, 1, 2, 2))), (-1, 8))

def bad():
    x = keras.Input((8,))
    y = Sorted(name="first")(x)
    y = layers.Dense(8, name="dense")(y)
    y = Deep(name="deep")(y)
    y = Sorted(name="second")(y)
    model = keras.Model(x, ops.cumprod(layers.Dense(3, name="head")(y)))
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([kernel * np.nan, bias])
    model.compile("ftrl", "sparse_categorical_crossentropy")
    return model

def rotated():
    x = keras.Input((8, 8, 3))
    y = layers.Flatten()(layers.RandomRotation(0.1, name="turn")(x))
    return keras.Model(x, layers.Dense(3)(y))

def unbuilt():
    return keras.Sequential([layers.Dense(3)])

def good():
    return keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, name="a"), layers.Dense(3, name="b")]
    )
"""


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `tfplus check` beside a module of models: arguments → exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models_to_check.py").write_text(textwrap.dedent(MODELS))

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["check", *arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_everything_that_stops_an_export_is_listed(check) -> None:
    code, out, err = check("models_to_check:bad", "--json")
    assert code == 4, err
    report = json.loads(out)
    problems = {layer["name"]: layer["problems"] for layer in report["layers"]}
    assert list(problems) == ["first", "dense", "deep", "second", "head"]
    assert problems["dense"] == problems["head"] == []
    for name in ("first", "second"):
        assert any("has no rule" in text for text in problems[name])
    assert any("[2, 1, 2, 1, 2, 2], expected at most 4 dim" in text for text in problems["deep"])
    whole = " | ".join(report["problems"])
    assert "Ftrl" in whole
    assert "dense/kernel' holds NaN" in whole
    assert "Cumprod has no rule" in whole
    assert not report["exports"]
    assert report["batches"] == report["targets"] == []
    code, out, _ = check("models_to_check:bad", "--verbose")
    assert code == 4
    assert "3 of 5 layers" in out
    assert "operations that have a rule: Abs, Add, AddV2," in " ".join(out.split())


def test_a_check_says_the_sentence_of_the_export(check, tmp_path: Path) -> None:
    code, out, err = check("models_to_check:rotated", "--json")
    assert code == 4, err
    (problem,) = json.loads(out)["layers"][0]["problems"]
    assert problem.startswith("cannot train on a device (operations Cos, Sin, ")
    assert problem.endswith(
        "apply it to the data before training, or leave it out of the exported model"
    )
    result = CliRunner().invoke(app, ["export", "models_to_check:rotated", "-o", "never.tflite"])
    assert result.exit_code == 4
    assert result.stderr == f"error: layer 'turn' (RandomRotation) {problem}\n"


def test_an_unbuilt_model_is_told(check) -> None:
    code, out, err = check("models_to_check:unbuilt")
    assert (code, out) == (4, "")
    assert err.startswith("error: the model is not built")


def test_a_step_that_exports_is_estimated(check, tmp_path: Path) -> None:
    code, out, err = check("models_to_check:good", "--batch-sizes", "2,64", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert [(la["name"], la["output_shape"], la["parameters"]) for la in report["layers"]] == [
        ("a", [None, 6], 8 * 6 + 6),
        ("b", [None, 3], 6 * 3 + 3),
    ]
    flops = {cost["batch_size"]: cost["flops"] for cost in report["batches"]}
    assert flops == {n: 2 * n * (2 * 8 * 6 + 3 * 6 * 3) for n in (2, 64)}
    small, large = report["batches"]
    assert (
        small["peak_memory_bytes"]["ai-edge-litert"] < large["peak_memory_bytes"]["ai-edge-litert"]
    )
    assert {(t["target"], t["problem"]) for t in report["targets"]} == {
        ("host", None), ("pi", None), ("pixel", None)
    }  # fmt: skip
    code, out, _ = check("models_to_check:good", "--batch-sizes", "16", "--train", "last:1")
    assert code == 0
    assert "ok, frozen" in out
    assert not list(tmp_path.glob("*.tflite"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch-sizes", "0"], "at least 1"),
        (["--batch-sizes", "a"], "whole numbers"),
        (["--freeze", "c"], "names no layer"),
    ],
)
def test_options_that_make_no_sense(check, arguments: list[str], said: str) -> None:
    code, out, err = check("models_to_check:good", *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_a_rule_that_computes_constants_at_export_is_no_problem(method: str) -> None:
    # Resizing reads its matrices off TensorFlow's operation, which the export can and does.
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.UpSampling2D(2, interpolation=method), layers.Flatten()]
    )
    assert survey(trace(model, 2, training=True), RULES) == []
