"""The rules, forward and backward, on the LiteRT GPU delegate: docs/gpu.md and its operator table.

usage: python tests/export/gpu_document.py

Each operation runs in a process of its own, since the delegate ends the process on some.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator
from ai_edge_litert.interpreter import Interpreter
from rule_cases import BATCH, CASES, Case

from tfplus_export import convert, flatbuffer, source
from tfplus_export.graph import trace
from tfplus_export.lowered import lower
from tfplus_export.lowering.replay import replay
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Adam
from tfplus_export.options import Options
from tfplus_export.stateless import StatelessModule

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "export" / "tfplus_export" / "runtimes" / "gpu.json"
DOCUMENT = ROOT / "docs" / "gpu.md"
# Whose steps are compared as a whole in tests/export/test_accelerated.py.
MODELS = ("zoo:lenet", "zoo:reduced-mobilenet")
TOLERANCE = 1e-4
TIMEOUT_S = 300
TIMED_OUT = 124
# The delegate says what it does not take, but of no version.
ANY_VERSION = 99
HEAD = """# The rules on the GPU delegate

Written by `scripts/test-gpu --table`; do not edit. ai-edge-litert {version}, Vulkan driver
`{driver}`. Each row is the case of [rules.md](rules.md), forward and backward,
on the GPU against the CPU: the largest difference relative to the largest element. A software
driver says nothing of speed, and not all of another driver's numerics: `tfplus export
--accelerator gpu` compares the whole step where there is a GPU, and the agent does so before it
trains on one.

| Operation | As written | On the GPU |
|---|---|---|
"""


@dataclass(frozen=True)
class OnGpu:
    """What the delegate made of a rule.

    Attributes:
      operators: TFLite operators of its forward and backward pass.
      delegated: whether the delegate takes them all.
      error: largest difference from the CPU, relative to the largest element of any output; None
        where it was not run.
    """

    operators: frozenset[str]
    delegated: bool
    error: float | None


def on_gpu(case: Case) -> OnGpu:
    """Converts a case's forward pass and gradients, and runs them on the GPU and on the CPU."""
    model = case.build()
    graph = trace(model, BATCH, training=True)
    values = {f"w{i}": np.asarray(v, np.float32) for i, v in enumerate(model.variables)}
    trainable = [i for i, v in enumerate(model.variables) if v.trainable]
    (name,) = graph.inputs
    (output,) = graph.outputs.values()
    shapes = {"x": tuple(graph.inputs[name].shape), "dy": tuple(output.shape)}

    def step(**given: Any) -> dict[str, Any]:
        weights = {i: given[f"w{i}"] for i in range(len(values))}
        tape = replay(graph, RULES, {name: given["x"]}, weights)
        result = {"y": tape.values[output.name] * 1.0}
        gradients = tape.gradients({output.name: given["dy"]}, trainable)
        return result | {f"d{i}": g for i, g in gradients.items()}

    content = _convert(step, shapes | {n: v.shape for n, v in values.items()})
    operators = frozenset(flatbuffer.operators(content))
    try:
        compiled = CompiledModel.from_buffer(content, HardwareAccelerator.GPU)
    except RuntimeError:
        return OnGpu(operators, False, None)
    rng = np.random.default_rng(0)
    feed = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} | values
    want = _on_cpu(content, feed)
    got = _run(compiled, feed)
    scale = max(float(np.max(np.abs(w))) for w in want.values())
    error = max(float(np.max(np.abs(got[n] - w))) for n, w in want.items())
    return OnGpu(operators, True, error / scale)


def whole_step(name: str) -> OnGpu:
    """Operators of the whole step of a model of the zoo, loss and optimizer included."""
    loaded = source.load(name, input_shape=None, classes=None, seed=0)
    options = Options(BATCH, optimizer=Adam())
    step = lower(loaded, loaded.model, options, lambda text: None).step
    content = convert.to_flatbuffer(StatelessModule(step))
    operators = frozenset(flatbuffer.operators(content))
    try:
        CompiledModel.from_buffer(content, HardwareAccelerator.GPU)
    except RuntimeError:
        return OnGpu(operators, False, None)
    return OnGpu(operators, True, 0.0)


def _convert(function: Any, shapes: dict[str, tuple[int, ...]]) -> bytes:
    specs = {n: tf.TensorSpec(s, tf.float32, name=n) for n, s in shapes.items()}
    module = tf.Module()
    module.step = tf.function(lambda **given: function(**given), autograph=False)
    concrete = module.step.get_concrete_function(**specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    return converter.convert()


def _on_cpu(content: bytes, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    interpreter = Interpreter(model_content=content)
    return dict(interpreter.get_signature_runner()(**_known(interpreter, feed)))


def _known(interpreter: Interpreter, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    (signature,) = interpreter.get_signature_list().values()
    return {n: feed[n] for n in signature["inputs"]}


def _run(compiled: Any, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ((key, _),) = compiled.get_signature_list().items()
    inputs = {
        n: compiled.create_input_buffer_by_name(key, n)
        for n in compiled.get_input_tensor_details(key)
    }
    details = compiled.get_output_tensor_details(key)
    outputs = {n: compiled.create_output_buffer_by_name(key, n) for n in details}
    for name, buffer in inputs.items():
        buffer.write(np.ascontiguousarray(feed[name]))
    compiled.run_by_name(key, inputs, outputs)
    return {
        n: b.read(int(np.prod(details[n]["shape"])), np.float32).reshape(details[n]["shape"])
        for n, b in outputs.items()
    }


def main(arguments: list[str]) -> int:
    """Writes both, or with the name of an operation prints what was found of that one."""
    if arguments:
        name = arguments[0]
        found = whole_step(name) if name.startswith("zoo:") else on_gpu(CASES[name])
        sys.stdout.write(json.dumps({**vars(found), "operators": sorted(found.operators)}) + "\n")
        sys.stdout.flush()
        # Some drivers hang when they are taken down.
        os._exit(0)
    rows: list[str] = []
    taken: set[str] = set()
    for operation in sorted(CASES):
        code, found = _asked(operation)
        if code == TIMED_OUT:
            says = f"does not end in {TIMEOUT_S} s"
        elif found is None:
            says = f"ends the process ({signal.Signals(-code).name if code < 0 else code})"
        elif not found["delegated"]:
            says = "not delegated"
        elif found["error"] > TOLERANCE:
            says = f"**wrong** by {found['error']:.0e}"
        else:
            says = f"right to {found['error']:.0e}"
            taken |= set(found["operators"])
        rows.append(f"| {operation} | `{CASES[operation].written}` | {says} |")
        sys.stderr.write(rows[-1] + "\n")
    for model in MODELS:
        _, found = _asked(model)
        if found is not None and found["delegated"]:
            taken |= set(found["operators"])
    version = importlib.metadata.version("ai-edge-litert")
    table = {
        "operators": dict.fromkeys(sorted(taken), ANY_VERSION),
        "runtime": "ai-edge-litert",
        "version": version,
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    head = HEAD.format(
        version=version,
        driver=os.environ.get("VK_ICD_FILENAMES", "the system's").rpartition("/")[2],
    )
    DOCUMENT.write_text(head + "\n".join(rows) + "\n")
    return 0


def _asked(operation: str) -> tuple[int, dict[str, Any] | None]:
    command = [sys.executable, __file__, operation]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return TIMED_OUT, None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, json.loads(lines[0]) if lines else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
