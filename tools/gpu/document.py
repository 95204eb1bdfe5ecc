"""The rules, losses and optimizers on the LiteRT GPU delegate: docs/gpu.md and the operator table.

usage: python tools/gpu/document.py [OPERATION...]

With names of operations it says what became of those, and writes nothing.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "export" / "support")]

import keras
import numpy as np
import tensorflow as tf
from gpu_graph import RIGHT, Outcome, compared, converted
from keras import layers
from rule_cases import BATCH, CASES, Case

from gpu.sections import shown, software, write
from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.conversion import flatbuffer
from tfplus_export.lowering.engine.kernel_variants import for_accelerators
from tfplus_export.lowering.engine.replay import replay
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Adam, Optimizer, RmsProp, Sgd
from tfplus_export.optimizers.adjusted import Adjusted
from tfplus_export.optimizers.clipping import Clip
from tfplus_export.parity import rounding_alone
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.tracing.graph import trace
from tfplus_export.variants import gpu_graph

TABLE = ROOT / "export" / "tfplus_export" / "targets" / "runtimes" / "gpu.json"
TITLE = "Operations"
# The delegate says what it does not take, but of no version.
ANY_VERSION = 99
LOSSES = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
)
SGD = Sgd(0.01)
OPTIMIZERS: MappingProxyType[str, Optimizer] = MappingProxyType(
    {
        "SGD": SGD,
        "SGD, Nesterov": Sgd(0.01, 0.9, nesterov=True),
        "RMSprop": RmsProp(),
        "Adam": Adam(),
        "AdamW, `clipnorm`": Adjusted(Adam(), Clip("clipnorm", 1.0), 0.004),
        "SGD, `global_clipnorm`": Adjusted(Sgd(0.01), Clip("global_clipnorm", 1.0)),
        "SGD, `clipvalue`": Adjusted(Sgd(0.01), Clip("clipvalue", 0.1)),
    }
)
HEAD = """{software}.

Each row is the case of [rules.md](rules.md), forward and backward, on the GPU against the CPU: the
largest difference relative to the largest element. A software driver says nothing of speed, and not
all of another driver's numerics: `tfplus export --accelerator gpu` compares the whole step where
there is a GPU, and the agent does so before it trains on one.

| Operation | As written | On the GPU |
|---|---|---|
"""
STEPS_HEAD = """

Losses, and behind the first loss optimizers, as whole steps of a small net with batch
normalization and dropout; then layers that are more than their operations, frozen ones in the
middle of a net among them: the error of the loss, and that of the worst variable's update, beyond
the rounding of the variable itself.

| Loss, optimizer or layers | On the GPU |
|---|---|
"""


@dataclass(frozen=True)
class Found:
    """What the delegate made of a graph, and the TFLite operators in it."""

    operators: frozenset[str]
    says: str
    right: bool


def of_rule(case: Case) -> Found:
    """A case's forward pass and gradients, on the GPU and on the CPU."""
    keras.utils.set_random_seed(0)
    model = case.build()
    graph = trace(model, BATCH, training=True)
    values = {f"w{i}": np.asarray(v, np.float32) for i, v in enumerate(model.variables)}
    trainable = [i for i, v in enumerate(model.variables) if v.trainable]
    (name,) = graph.inputs
    (output,) = graph.outputs.values()
    shapes = {"x": tuple(graph.inputs[name].shape), "dy": tuple(output.shape)}

    def step(**given: Any) -> dict[str, Any]:
        weights = {i: given[f"w{i}"] for i in range(len(values))}
        tape = replay(graph, for_accelerators(RULES), {name: given["x"]}, weights)
        result = {"y": tape.values[output.name] * 1.0}
        gradients = tape.gradients({output.name: given["dy"]}, trainable)
        return result | {f"d{i}": g for i, g in gradients.items()}

    content = converted(step, shapes | {n: v.shape for n, v in values.items()})
    rng = np.random.default_rng(0)
    feed = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()} | values
    found = compared(content, feed)
    return Found(frozenset(flatbuffer.operators(content)), _says(found), found.state == RIGHT)


def of_step(loss: str, optimizer: Optimizer) -> Found:
    """The whole step of a small net."""
    kinds = (
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.25),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(3),
    )
    return of_net((6, 6, 2), kinds, loss, optimizer)


def of_net(
    shape: tuple[int, ...],
    kinds: Sequence[layers.Layer],
    loss: str = LOSSES[0],
    optimizer: Optimizer = SGD,
) -> Found:
    """The whole step of some layers, checked as an export checks it."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *kinds])
    source = Source("small", model, None, None, None, Preprocessing(), None)
    options = Options(4, optimizer=optimizer, loss=loss)
    graph = train_graph.build(source, model, options, lambda text: None)
    try:
        rounding = rounding_alone.weights(model, graph.step, seed=0)
        checked = gpu_graph.gpu(graph.step, graph.content, graph.values, 0, rounding)
    except ExportError as error:
        return Found(frozenset(), str(error), right=False)
    (on_gpu,) = [m for m in checked.measured if m["on"] == "GPU"]
    operators = frozenset(flatbuffer.operators(checked.content))
    return Found(operators, f"{shown(on_gpu['loss'])}, {shown(on_gpu['update'])}", right=True)


def nets() -> dict[str, Found]:
    """Layers that are more than their operations: written out in time, or constants."""
    rows, image = (5, 3), (6, 6, 2)
    recurrent = (layers.SimpleRNN(4), layers.LSTM(4), layers.GRU(4))
    found = {
        f"`{type(layer).__name__}`": of_net(rows, [layer, layers.Dense(3)]) for layer in recurrent
    }
    frozen = [
        layers.Conv2D(4, 3, padding="same"),
        layers.Conv2D(4, 3, 2, "same", trainable=False),
        layers.DepthwiseConv2D(2, trainable=False),
        layers.Flatten(),
        layers.Dense(9, trainable=False),
        layers.Dense(3),
    ]
    return found | {"frozen layers": of_net(image, frozen)}


def refusing_repeats() -> list[str]:
    """The operators of two tensors that the delegate does not take with one tensor twice."""
    pairs = {
        "ADD": tf.add,
        "DIV": tf.divide,
        "MAXIMUM": tf.maximum,
        "MINIMUM": tf.minimum,
        "MUL": tf.multiply,
        "POW": tf.pow,
        "SQUARED_DIFFERENCE": tf.math.squared_difference,
        "SUB": tf.subtract,
    }
    feed = {"x": np.random.default_rng(0).uniform(1.0, 2.0, (2, 3)).astype(np.float32)}
    refused: list[str] = []
    for name, function in pairs.items():

        def of_itself(x: Any, function: Any = function) -> dict[str, Any]:
            # The converter makes one tensor of both; what it sees as one it computes itself.
            return {"y": function(x * 2.0, x * 2.0)}

        content = converted(of_itself, {"x": (2, 3)})
        if name not in flatbuffer.operators(content) or compared(content, feed).state != RIGHT:
            refused.append(name)
    return refused


def _says(found: Outcome) -> str:
    if found.error is None:
        return found.state
    return (
        f"right to {found.error:.0e}" if found.state == RIGHT else f"**wrong** by {found.error:.0e}"
    )


def main(arguments: list[str]) -> int:
    """Writes both, or says what was found of the operations that are named."""
    found = {name: of_rule(CASES[name]) for name in arguments or sorted(CASES)}
    rows = [f"| {n} | `{CASES[n].written}` | {f.says} |" for n, f in found.items()]
    if arguments:
        sys.stdout.write("\n".join(rows) + "\n")
        return 0
    steps = {f"`{loss}`": of_step(loss, SGD) for loss in LOSSES}
    steps |= {name: of_step(LOSSES[0], optimizer) for name, optimizer in OPTIMIZERS.items()}
    steps |= nets()
    step_rows = [f"| {name} | {f.says} |" for name, f in steps.items()]
    every = [*found.values(), *steps.values()]
    taken = {operator for f in every if f.right for operator in f.operators}
    table = {
        "distinct_inputs": refusing_repeats(),
        "operators": dict.fromkeys(sorted(taken), ANY_VERSION),
        "runtime": "ai-edge-litert",
        "version": importlib.metadata.version("ai-edge-litert"),
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    head = HEAD.format(software=software())
    write(TITLE, head + "\n".join(rows) + STEPS_HEAD + "\n".join(step_rows))
    return 0 if all(f.right for f in every) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
