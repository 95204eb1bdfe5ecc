"""Whole training steps on the LiteRT GPU delegate: the models of the zoo in docs/gpu.md.

usage: python tools/gpu/zoo.py [MODEL...]
       python tools/gpu/zoo.py --one MODEL OPTIMIZER STEPS PRECISION
       python tools/gpu/zoo.py --half

Each model runs in a process of its own, since the delegate ends the process on some graphs. Where
models are named, the rows of the others stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "export" / "support")]

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers

from gpu.sections import read, shown, software, write
from gpu.zoo_text import (
    COLUMNS,
    HALF_HEAD,
    HALF_MODELS,
    HALF_OF_SAME_BITS,
    HALF_TITLE,
    HEAD,
    SAME_BITS,
    TITLE,
)
from tfplus.model_file.manifest import Preprocessing, TensorInfo
from tfplus.runtime import gpu
from tfplus.runtime.accelerator_process import Step
from tfplus.runtime.functional import StatelessModel
from tfplus.tensors.slices import Tensors
from tfplus_export import zoo
from tfplus_export.optimizers import Adam, Sgd
from tfplus_export.parity.errors.agreement import agreement
from tfplus_export.parity.errors.step_error import STEP_TOLERANCE, loss_error
from tfplus_export.parity.samples.draw import random_inputs, random_targets
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources import source
from tfplus_export.sources.source import Source
from tfplus_export.train_step.training import LOSS
from tfplus_export.variants import gpu_graph

GROUPED = "grouped"
MODELS = (*zoo.MODELS, GROUPED)
# At rates where a step is no leap: what rounding decides at a ReLU stays small for ten steps.
OPTIMIZERS = MappingProxyType(
    {"sgd": Sgd(0.003), "momentum": Sgd(0.001, 0.9), "adam": Adam(learning_rate=1e-4)}
)
STEPS = 10
BATCH = 2
SEED = 0
TIMEOUT_S = 1800
# How lines begin that LiteRT writes whatever happens.
CHATTER = ("INFO:", "WARNING:", "I0000", "W0000", "└")


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
    if name == GROUPED:
        return Source(name, grouped(), None, None, None, Preprocessing(), None)
    return source.load(f"zoo:{name}", input_shape=None, classes=None, seed=SEED)


def compare(name: str, optimizer: str, steps: int, precision: gpu.Precision) -> dict[str, Any]:
    """Takes steps on both; what `asked` returns."""
    loaded = load(name)
    options = Options(BATCH, optimizer=OPTIMIZERS[optimizer])
    built = train_graph.build(loaded, loaded.model, options, lambda text: None)
    step, start = built.step, built.values
    rng = np.random.default_rng(SEED)
    # The same few samples again and again: the loss falls, and is more than noise.
    two = [random_inputs(step.train_graph, rng) | random_targets(step, rng) for _ in range(2)]
    batches = [two[i % 2] for i in range(steps)]
    cpu = OnCpu(built.content)
    cpu.restore(start)
    want = [cpu.step(batch) for batch in batches]
    after = cpu.save()
    graph = gpu_graph.graph(step)
    compiled = gpu.compiled(graph, precision)
    variables = {n: TensorInfo(v.shape, v.dtype.name) for n, v in start.items()}
    model = StatelessModel(compiled, variables, step.reported())
    model.restore(start)
    got: list[float] = []

    def taken() -> Iterator[tuple[Step, Tensors, Tensors]]:
        """The GPU's own path, and where each of its steps leads on the CPU."""
        before = dict(start)
        for batch in batches:
            cpu.restore(before)
            loss = np.array([cpu.step(batch)], np.float32)
            model.step(batch)
            got.append(model.metrics()[LOSS])
            found = model.save()
            reached = found | {LOSS: np.array([got[-1]], np.float32)}
            yield Step(before, batch), cpu.save() | {LOSS: loss}, reached
            before = found

    trainable = [w.name for w in step.weights if w.trainable]
    each = agreement("GPU", taken(), trainable)
    found = model.save()
    other, other_found = _with_other_kernels(graph, start, batches)
    weights = [w.name for w in step.weights]
    moved = _apart(weights, start, after)
    return {
        "fully_accelerated": compiled.is_fully_accelerated(),
        "losses": want,
        "step_loss": each.loss,
        "step_update": each.update,
        "loss": _worst(want, got),
        "weights": _apart(weights, found, after) / moved,
        "cpu_loss": _worst(want, other),
        "cpu_weights": _apart(weights, other_found, after) / moved,
        "sha256": hashlib.sha256(b"".join(found[n].tobytes() for n in weights)).hexdigest(),
    }


class OnCpu:
    """The file as it trains on the CPU.

    Args:
      content: a flatbuffer with variables.
    """

    def __init__(self, content: bytes) -> None:
        interpreter = Interpreter(model_content=content, num_threads=2)
        names = ("train", "save", "restore")
        self._train, self._save, self._restore = map(interpreter.get_signature_runner, names)

    def step(self, batch: Tensors) -> float:
        """Takes one, and returns its loss."""
        return float(self._train(**batch)[LOSS][0])

    def save(self) -> dict[str, np.ndarray]:
        """A copy of every variable."""
        return {n: np.array(v) for n, v in self._save().items()}

    def restore(self, values: Tensors) -> None:
        """Sets every variable."""
        self._restore(**values)


def _with_other_kernels(
    graph: bytes, start: Tensors, batches: list[dict[str, np.ndarray]]
) -> tuple[list[float], Tensors]:
    """Losses and last state of the GPU's graph on the CPU, with TFLite's own kernels."""
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=graph, num_threads=2, experimental_op_resolver_type=kernels
    )
    train = interpreter.get_signature_runner("train")
    losses: list[float] = []
    state = dict(start)
    for batch in batches:
        left = train(**batch, **state)
        losses.append(float(left[LOSS][0]))
        state = {n: left.get(n, v) for n, v in state.items()}
    return losses, state


def _worst(want: list[float], got: list[float]) -> float:
    return float(np.max([loss_error(w, g) for w, g in zip(want, got, strict=True)]))


def _apart(names: list[str], a: Tensors, b: Tensors) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(np.subtract(a[n], b[n])))) for n in names)))


def asked(
    name: str, optimizer: str, steps: int = STEPS, precision: gpu.Precision = "float32"
) -> dict[str, Any]:
    """What a process of its own found: `loss` and `weights` apart, or `failed` and how."""
    command = [sys.executable, __file__, "--one", name, optimizer, str(steps), precision]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if lines:
        return json.loads(lines[0])
    told = [line for line in done.stderr.splitlines() if line and not line.startswith(CHATTER)]
    return {"failed": f"ended with {done.returncode}: {(told or ['it said nothing'])[-1]}"}


def half() -> int:
    """Writes what arithmetic of 16 bits costs."""
    rows: list[str] = []
    for name in HALF_MODELS:
        for optimizer in OPTIMIZERS:
            halved, whole = (asked(name, optimizer, STEPS, p) for p in ("float16", "float32"))
            if "failed" in halved or "failed" in whole:
                sys.stderr.write(f"{name}, {optimizer}: {halved} {whole}\n")
                return 1
            same = SAME_BITS if halved["sha256"] == whole["sha256"] else "yes"
            rows.append(
                f"| {name} | {optimizer} | {same} | {whole['loss']:.0e}, {halved['loss']:.0e} "
                f"| {whole['weights']:.0e}, {halved['weights']:.0e} |"
            )
            sys.stderr.write(rows[-1] + "\n")
    device = HALF_OF_SAME_BITS if all(SAME_BITS in line for line in rows) else ""
    head = HALF_HEAD.format(software=software(), steps=STEPS, device=device)
    write(HALF_TITLE, head + "\n".join(rows))
    return 0


def row(name: str, optimizer: str, found: Mapping[str, Any]) -> str:
    """What a process found, as a row of the document."""
    if "failed" in found:
        return f"| {name} | {optimizer} | no | | {found['failed']} | | |"
    first, last = found["losses"][0], found["losses"][-1]
    pairs = (("step_loss", "step_update"), ("loss", "weights"), ("cpu_loss", "cpu_weights"))
    errors = " | ".join(f"{shown(found[a])}, {shown(found[b])}" for a, b in pairs)
    return (
        f"| {name} | {optimizer} | {'yes' if found['fully_accelerated'] else 'no'} "
        f"| {first:.4f}, {last:.4f} | {errors} |"
    )


def holds(found: Mapping[str, Any]) -> bool:
    """Whether the GPU computes what the CPU does, whole; NaN is not that."""
    return bool(
        found.get("fully_accelerated")
        and found["step_loss"] <= STEP_TOLERANCE["loss"]
        and found["step_update"] <= STEP_TOLERANCE["update"]
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
    head = HEAD.format(software=software(), steps=STEPS, batch=BATCH, **STEP_TOLERANCE)
    head += f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n"
    rows = [r for r in read(TITLE).splitlines() if r.startswith(tuple(f"| {m} |" for m in MODELS))]
    right = True
    for name in arguments or MODELS:
        for optimizer in OPTIMIZERS:
            found = asked(name, optimizer)
            right = right and holds(found)
            start = f"| {name} | {optimizer} |"
            rows = [r for r in rows if not r.startswith(start)] + [row(name, optimizer, found)]
            sys.stderr.write(rows[-1] + "\n")
            rows.sort(key=lambda r: MODELS.index(r.split(" | ")[0][2:]))
            write(TITLE, head + "\n".join(rows))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
