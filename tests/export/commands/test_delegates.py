"""`tfplus inspect --delegates`: what XNNPACK runs, and what it leaves."""

from __future__ import annotations

import json

import pytest
from ai_edge_litert.interpreter import Interpreter
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.model_file.artifact import Artifact
from tfplus.profiling import delegates
from tfplus.tflite import graph_reader

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def test_partitions_are_those_of_the_interpreter(small_file: Artifact) -> None:
    # The interpreter lists the operators of the first subgraph, and a DELEGATE for each partition.
    content = small_file.path.read_bytes()
    definition = graph_reader.open_model(content).SignatureDefs(0)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    nodes = [node["op_name"] for node in interpreter._get_ops_details()]
    found = delegates.ask(small_file, definition.SignatureKey().decode(), "LiteRT")
    assert len(found.partitions) == nodes.count("DELEGATE") > 1
    left = [n for n in nodes if n not in ("DELEGATE", "CALL_ONCE", "VAR_HANDLE")]
    assert found.operators == len(left)


def test_every_operator_outside_has_layer_and_reason(small_file: Artifact) -> None:
    result = CliRunner().invoke(app, ["inspect", str(small_file.path), "--delegates", "--json"])
    assert result.exit_code == 0, result.stderr
    train, infer = json.loads(result.stdout)["delegates"]
    assert (train["signature"], infer["signature"]) == ("train", "infer")
    (only,) = infer["outside"]
    assert (only["name"], only["layer"], only["phase"]) == (
        "DEPTHWISE_CONV_2D",
        "depthwise",
        "forward",
    )
    assert only["splits"] is True
    assert only["reason"] == "its filter is computed, and XNNPACK takes a constant one"
    first, last = (partition["parts"] for partition in infer["partitions"])
    assert "forward of conv" in first
    assert last[-1] == "forward of logits"
    reasons = {o["name"]: o["reason"] for o in train["outside"]}
    assert reasons["CAST"] == "XNNPACK has no such operator"
    assert "not known" not in reasons.values()
    # Labels are cast before anything else: that splits nothing.
    splits = {o["name"]: (o["after"], o["splits"]) for o in train["outside"]}
    assert splits["CAST"] == (0, False)
    assert train["delegated"] + len(train["outside"]) == train["operators"]


def test_people_see_what_splits(small_file: Artifact) -> None:
    result = CliRunner().invoke(app, ["inspect", str(small_file.path), "--delegates"])
    assert result.exit_code == 0, result.stderr
    for words in ("in 2 partitions", "between 1 and 2", "DEPTHWISE_CONV_2D", "begins with"):
        assert words in result.stdout
