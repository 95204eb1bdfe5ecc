"""What a device and its runtime take: operators, versions, dimensions, memory."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from tfplus.errors import ExportError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus.system.sizes import parse as parse_size
from tfplus.tflite.graph_reader import operator_name, signature_graph
from tfplus.tflite.operator_names import owners_of
from tfplus_export.costs import budget, cost
from tfplus_export.costs.budget import MOST_SAMPLES
from tfplus_export.costs.memory import peak_bytes
from tfplus_export.pipeline import api, sizing, train_graph
from tfplus_export.sources import source
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.train_step.trainable import select

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")
LEGACY = os.environ.get("TFPLUS_LEGACY_PYTHON")


def dense() -> Source:
    hidden = layers.Dense(16, activation="relu", name="hidden")
    model = keras.Sequential([keras.Input((32,)), hidden, layers.Dense(4, name="head")])
    return Source("test:dense", model, (0, 1, 2, 3), None, None, Preprocessing(), None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The flatbuffer of two dense layers at batch 8."""
    path = tmp_path_factory.mktemp("targets") / "m.tflite"
    written = api.export(dense(), path, api.Options(8, parity_steps=1), lambda text: None)
    return path.read_bytes()[: written.manifest.flatbuffer_bytes]


def test_an_operator_that_the_runtime_lacks_is_named(exported: bytes) -> None:
    litert = targets.runtime("ai-edge-litert")
    assert targets.operator_problem(exported, litert) is None
    assert targets.operator_problem(exported, targets.runtime("tflite-runtime")) is None
    for newest, said in ((None, "old 1.0 has no such operator"), (0, "version 1 of it is needed")):
        table = {k: v for k, v in litert.operators.items() if k != "BATCH_MATMUL"}
        table |= {} if newest is None else {"BATCH_MATMUL": newest}
        problem = targets.operator_problem(exported, targets.Runtime("old", "1.0", table))
        assert problem is not None
        assert problem.startswith("operator BATCH_MATMUL of layer 'hidden' (forward)")
        assert said in problem


def test_every_operator_that_computes_names_layer_and_phase(exported: bytes) -> None:
    model = schema.Model.GetRootAs(exported, 0)
    graph = signature_graph(model, "train")
    owners = owners_of(graph)
    held = {"CALL_ONCE", "VAR_HANDLE"}
    names = [operator_name(model, graph.Operators(i)) for i in range(len(owners))]
    assert all(o is not None for n, o in zip(names, owners, strict=True) if n not in held)
    products = [o for n, o in zip(names, owners, strict=True) if n == "BATCH_MATMUL"]
    # Of the first layer, the gradient of its input is not needed.
    assert sorted((o.layer, o.phase) for o in products if o is not None) == [
        ("head", "backward"),
        ("head", "backward"),
        ("head", "forward"),
        ("hidden", "backward"),
        ("hidden", "forward"),
    ]
    phases = {o.phase for o in owners if o is not None}
    assert phases == {"forward", "loss", "backward", "update"}


def test_flops_are_two_for_each_multiply_add(exported: bytes) -> None:
    # Both layers forward and dW, and the gradient of hidden's output.
    assert cost.product_flops(exported, "train") == 2 * 8 * (2 * 32 * 16 + 3 * 16 * 4)
    assert cost.product_flops(exported, "infer") == 2 * 8 * (32 * 16 + 16 * 4)


def test_a_preview_tells_what_a_conversion_shows(exported: bytes) -> None:
    seen = sizing.preview_step(dense(), api.Options())
    variables = 4 * (32 * 16 + 16 + 16 * 4 + 4 + 1)
    told, shown = seen.memory(8), cost.step_memory(exported, variables)
    assert (told.planned_bytes, told.packed_bytes) == (shown.planned_bytes, shown.packed_bytes)
    assert told.variables_bytes == shown.variables_bytes
    # Of a preview the converter writes the file, which stores more tables that are alike once.
    assert told.graph_bytes == pytest.approx(shown.graph_bytes, rel=0.05)
    assert seen.flops(8) == cost.product_flops(exported, "train")


def test_the_largest_batch_that_fits_is_chosen(exported: bytes) -> None:
    seen = sizing.preview_step(dense(), api.Options())
    both = targets.RUNTIMES
    at_100 = budget.worst_peak(seen.memory(100), both)
    chosen = budget.choose_batch(seen, both, at_100)
    assert chosen >= 100
    assert budget.worst_peak(seen.memory(chosen), both) <= at_100
    assert budget.worst_peak(seen.memory(chosen + 1), both) > at_100
    assert budget.choose_batch(seen, both, 10**12) == MOST_SAMPLES


def test_a_target_refuses_what_needs_more_memory(exported: bytes) -> None:
    memory = dataclasses.replace(
        cost.step_memory(exported, 0), planned_bytes=dict.fromkeys(targets.RUNTIMES, 800_000_000)
    )
    with pytest.raises(ExportError, match=r"target pi: a step needs about 84. MB at its peak"):
        targets.check(exported, memory, "pi", "ai-edge-litert")
    found = targets.check(exported, memory, "pixel", "tflite-runtime")
    assert (found.name, found.runtime_version) == ("pixel", "2.14.0")


@pytest.mark.slow
def test_the_manifest_says_what_was_checked(run, tmp_path: Path) -> None:
    code, out, err = run(
        "zoo:digits", "-o", "m.tflite", "--classes", "2", "--target", "pi", "--target", "host",
        "--runtime", "tflite-runtime", "--memory-budget", "47MB", "--json",
    )  # fmt: skip
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    assert [(t.name, t.runtime) for t in manifest.targets] == [
        ("pi", "tflite-runtime"),
        ("host", "tflite-runtime"),
    ]
    assert 46_000_000 < manifest.targets[0].peak_memory_bytes <= 47_000_000
    assert manifest.batch_size > 32
    assert json.loads(out)["models"][0]["targets"][0]["name"] == "pi"


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512_000_000), ("1.5 GiB", 3 << 29), ("300mib", 300 << 20)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size("--memory-budget", text) == size


@pytest.mark.parametrize("text", ["512", "MB", "-1MB", "0MB", "1TBX", "nanMB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--memory-budget"):
        parse_size("--memory-budget", text)


@pytest.mark.slow
def test_the_tables_are_what_the_runtimes_say() -> None:
    pythons = [sys.executable, *([LEGACY] if LEGACY else [])]
    subprocess.run([sys.executable, "tools/operator_table.py", "--check", *pythons], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "batch", "train"),
    [
        ("lenet", 32, []),
        ("small-cnn", 32, []),
        ("reduced-mobilenet", 8, []),
        ("vgg-small", 8, []),
        ("vgg-small", 8, ["last:1"]),
    ],
)
def test_the_estimate_is_near_the_measured_peak(
    name: str, batch: int, train: list[str], tmp_path: Path
) -> None:
    loaded = source.load(f"zoo:{name}", input_shape=None, classes=None, seed=0)
    options = api.Options(batch, freeze=select(loaded.model, [], train))
    with options.freeze.applied(loaded.model):
        lowered = train_graph.build(loaded, loaded.model, options, lambda text: None)
    path = tmp_path / "m.tflite"
    path.write_bytes(lowered.content)
    memory = cost.step_memory(lowered.content, lowered.variables_bytes)
    pythons = {"ai-edge-litert": sys.executable} | ({"tflite-runtime": LEGACY} if LEGACY else {})
    for runtime, python in pythons.items():
        done = subprocess.run(
            [python, str(Path(__file__).parents[1] / "support" / "run_peak.py"), str(path)],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        assert peak_bytes(memory, runtime) == pytest.approx(int(done.stdout), rel=0.25), runtime
