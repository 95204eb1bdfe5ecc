"""Whole training steps on the LiteRT GPU delegate: the models of the zoo in docs/gpu.md.

usage: python tests/export/gpu_zoo.py [MODEL...]
       python tests/export/gpu_zoo.py --one MODEL OPTIMIZER STEPS PRECISION
       python tests/export/gpu_zoo.py --half

Each model runs in a process of its own, since the delegate ends the process on some graphs. Where
models are named, the rows of the others stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from gpu_sections import read, software, write
from keras import layers

from tfplus import gpu
from tfplus.manifest import Preprocessing, TensorInfo
from tfplus.stateless import StatelessModel
from tfplus_export import accelerated
from tfplus_export.comparison.samples import random_inputs, random_targets
from tfplus_export.lowered import lower
from tfplus_export.optimizers import Adam, Sgd
from tfplus_export.options import Options
from tfplus_export.sources import source
from tfplus_export.sources.source import Source
from tfplus_export.training import LOSS

MODELS = (
    "small-cnn",
    "reduced-mobilenet",
    "reduced-resnet",
    "mentee",
    "alexnet",
    "vgg16",
    "keyword-cnn",
    "grouped",
)
# At rates where a step is no leap: what rounding decides at a ReLU stays small for ten steps.
OPTIMIZERS = MappingProxyType(
    {"sgd": Sgd(0.003), "momentum": Sgd(0.001, 0.9), "adam": Adam(learning_rate=1e-4)}
)
STEPS = 10
BATCH = 2
SEED = 0
TIMEOUT_S = 1800
TOLERANCE = 1e-4
TITLE = "Models"
HEAD = """{software}.

Whole training steps, {steps} of them at batch {batch} over two batches in turn, on the GPU and on
the CPU from the same start and each on its own: the largest difference between their losses,
relative to the CPU's, and the norm of that between their weights, relative to how far the CPU's
have moved. The losses have to agree to {tolerance:.0e}. SGD runs at 0.003, with momentum 0.9 at
0.001, Adam at 0.0001. `grouped` is a small net of grouped convolutions. A software driver says
nothing of speed.

| Model | Optimizer | Fully accelerated | First and last loss | Loss off by | Weights off by |
|---|---|---|---|---|---|
"""
HALF_TITLE = "Arithmetic of 16 bits"
HALF_MODELS = ("small-cnn", "keyword-cnn")
HALF_HEAD = """{software}.

The steps of the models above with the precision `float16` instead
of `float32`, {steps} of them: whether the device computes otherwise, and how far losses and weights
are off those of the CPU in `float32` and in `float16`. Weights are updated in that precision too,
so that an update below a thousandth of its weight is lost: `float32` is what tfplus asks for.

| Model | Optimizer | Honoured | Loss off by | Weights off by |
|---|---|---|---|---|
"""


def grouped() -> keras.Model:
    """Convolutions in groups, as decoupled sub-models have them, strided and not."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, 2, "same", groups=4, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(64, 3, padding="same", groups=8, activation="relu", name="conv3"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(10, name="logits"),
        ],
        name="grouped",
    )


def load(name: str) -> Source:
    """A model of the zoo, or `grouped`, with the same weights each time."""
    keras.utils.set_random_seed(SEED)
    if name == "grouped":
        return Source(name, grouped(), None, None, None, Preprocessing(), None)
    return source.load(f"zoo:{name}", input_shape=None, classes=None, seed=SEED)


def compare(name: str, optimizer: str, steps: int, precision: gpu.Precision) -> dict[str, Any]:
    """Takes steps on both; what `asked` returns."""
    loaded = load(name)
    options = Options(BATCH, optimizer=OPTIMIZERS[optimizer])
    lowered = lower(loaded, loaded.model, options, lambda text: None)
    step = lowered.step
    rng = np.random.default_rng(SEED)
    # The same few samples again and again: the loss falls, and is more than noise.
    two = [random_inputs(step.train_graph, rng) | random_targets(step, rng) for _ in range(2)]
    interpreter = Interpreter(model_content=lowered.content, num_threads=2)
    train = interpreter.get_signature_runner("train")
    want = [float(train(**two[i % 2])[LOSS][0]) for i in range(steps)]
    compiled = gpu.compiled(accelerated.graph(step), precision)
    variables = {n: TensorInfo(v.shape, v.dtype.name) for n, v in lowered.values.items()}
    model = StatelessModel(compiled, variables, step.reported())
    model.restore(lowered.values)
    got: list[float] = []
    for i in range(steps):
        model.step(two[i % 2])
        got.append(model.metrics()[LOSS])
    weights = [w.name for w in step.weights]
    after = interpreter.get_signature_runner("save")()
    found = model.save()
    return {
        "fully_accelerated": compiled.is_fully_accelerated(),
        "losses": want,
        "loss": float(np.max(np.abs(np.subtract(got, want)) / np.abs(want))),
        "sha256": hashlib.sha256(b"".join(found[n].tobytes() for n in weights)).hexdigest(),
        "weights": _apart(weights, found, after) / _apart(weights, lowered.values, after),
    }


def _apart(names: list[str], a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(a[n] - b[n]))) for n in names)))


def asked(
    name: str, optimizer: str, steps: int = STEPS, precision: gpu.Precision = "float32"
) -> dict[str, Any]:
    """What a process of its own found: `loss` and `weights` apart, or `failed` and how."""
    command = [sys.executable, __file__, "--one", name, optimizer, str(steps), precision]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if lines:
        return json.loads(lines[0])
    says = (done.stderr.strip().splitlines() or [""])[-1]
    return {"failed": f"ended with {done.returncode}: {says}"}


def half() -> int:
    """Writes what arithmetic of 16 bits costs."""
    rows: list[str] = []
    for name in HALF_MODELS:
        for optimizer in OPTIMIZERS:
            halved, whole = (asked(name, optimizer, STEPS, p) for p in ("float16", "float32"))
            if "failed" in halved or "failed" in whole:
                sys.stderr.write(f"{name}, {optimizer}: {halved} {whole}\n")
                return 1
            same = "no: the same bits" if halved["sha256"] == whole["sha256"] else "yes"
            rows.append(
                f"| {name} | {optimizer} | {same} | {whole['loss']:.0e}, {halved['loss']:.0e} "
                f"| {whole['weights']:.0e}, {halved['weights']:.0e} |"
            )
            sys.stderr.write(rows[-1] + "\n")
    write(HALF_TITLE, HALF_HEAD.format(software=software(), steps=STEPS) + "\n".join(rows))
    return 0


def row(name: str, optimizer: str, found: Mapping[str, Any]) -> str:
    """What a process found, as a row of the document."""
    if "failed" in found:
        return f"| {name} | {optimizer} | no | | {found['failed']} | |"
    first, last = found["losses"][0], found["losses"][-1]
    return (
        f"| {name} | {optimizer} | {'yes' if found['fully_accelerated'] else 'no'} "
        f"| {first:.4f}, {last:.4f} | {found['loss']:.0e} | {found['weights']:.0e} |"
    )


def main(arguments: list[str]) -> int:
    """Writes the section, or prints what was found of one model."""
    if arguments[:1] == ["--one"]:
        name, optimizer, steps, precision = arguments[1:]
        found = compare(name, optimizer, int(steps), gpu.precision_named(precision))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        # Some drivers hang when they are taken down.
        os._exit(0)
    if arguments == ["--half"]:
        return half()
    head = HEAD.format(software=software(), steps=STEPS, batch=BATCH, tolerance=TOLERANCE)
    rows = [r for r in read(TITLE).splitlines() if r.startswith(tuple(f"| {m} |" for m in MODELS))]
    right = True
    for name in arguments or MODELS:
        for optimizer in OPTIMIZERS:
            found = asked(name, optimizer)
            right = right and found.get("loss", np.inf) <= TOLERANCE and found["fully_accelerated"]
            start = f"| {name} | {optimizer} |"
            rows = [r for r in rows if not r.startswith(start)] + [row(name, optimizer, found)]
            sys.stderr.write(rows[-1] + "\n")
            rows.sort(key=lambda r: MODELS.index(r.split(" | ")[0][2:]))
            write(TITLE, head + "\n".join(rows))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
