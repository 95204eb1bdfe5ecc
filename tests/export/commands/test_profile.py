"""`tfplus profile`: the runtime's own times, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.model_file import random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.profiling import layers
from tfplus.profiling.process import Request, record

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def profiled(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["profile", *arguments, "--threads", "1", "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_every_layer_has_its_phases(small_file: Artifact) -> None:
    found = profiled(str(small_file.path), "--steps", "2")
    by_layer = {layer["layer"]: set(layer["ms"]) for layer in found["layers"]}
    # In the model's order; of Flatten the converter leaves nothing in `infer` to tell it by.
    with_weights = ["conv", "depthwise", "norm", "logits"]
    assert [name for name in by_layer if name in with_weights] == with_weights
    for name in with_weights:
        assert {"forward", "backward", "update"} <= by_layer[name]
    assert "loss" in by_layer["logits"]
    # XNNPACK's operators are known, but for a copy of a variable that it may run elsewhere, and
    # nothing is counted twice or left out.
    assert found["matched"] > 0.98
    in_layers = sum(ms for layer in found["layers"] for ms in layer["ms"].values())
    assert in_layers == pytest.approx(sum(o["ms"] for o in found["operators"]))
    assert in_layers + found["between_ms"] == pytest.approx(found["mean_ms"])


def test_the_profiler_calls_each_operator_what_the_graph_calls_it(small_file: Artifact) -> None:
    # Without XNNPACK both sides have names of their own: the profiler its tags, the file its codes.
    path = small_file.path
    recorded = record(
        Request(str(path), "train", 1, xnnpack=False, warmup=1, steps=1),
        random_samples.of(small_file.manifest, "train"),
    )
    graph = layers.read_graph(path.read_bytes(), "train")
    assert len(recorded.operators) == len(graph.names)
    assert all(o.tag.startswith(graph.names[o.index]) for o in recorded.operators)


def test_people_see_a_table(small_file: Artifact) -> None:
    path = str(small_file.path)
    result = CliRunner().invoke(
        app, ["profile", path, "--signature", "infer", "--steps", "1", "--operators"]
    )
    assert result.exit_code == 0, result.stderr
    for words in ("conv", "logits", "forward", "between operators", "BATCH_MATMUL", "infer: med"):
        assert words in result.stdout
    assert "backward" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere.tflite",), 3, "no such file"),
        (("FILE", "--signature", "save"), 2, "--signature 'save': expected train or infer"),
        (("FILE", "--steps", "0"), 2, "--steps"),
    ],
)
def test_what_cannot_be_profiled_is_said(
    arguments: tuple[str, ...], code: int, said: str, small_file: Artifact, tmp_path: Path
) -> None:
    given = [str(small_file.path) if a == "FILE" else a for a in arguments]
    result = CliRunner().invoke(app, ["profile", *given])
    assert result.exit_code == code
    assert said in result.stderr
