"""The graphs that `gpu.py` times: parts of a model's training step, each a flatbuffer of its own.

All are made by the exporter's rules, and take weights as inputs, as the GPU needs them.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tfplus_export.lowering.engine.replay import replay
from tfplus_export.lowering.table import RULES
from tfplus_export.sources import source
from tfplus_export.tracing.graph import trace

FORWARD = "forward"


@dataclass(frozen=True)
class Part:
    """One graph.

    Attributes:
      of: the model, or the operation with its shapes.
      name: `forward`, or the gradient that it computes: dX, dW, db.
      content: the flatbuffer.
    """

    of: str
    name: str
    content: bytes


@dataclass(frozen=True)
class Operation:
    """A layer to take apart.

    Attributes:
      name: with its shapes.
      shape: of its input, without the batch.
      build: makes the layer.
      gradients: name of a gradient → index of the layer's variable.
    """

    name: str
    shape: tuple[int, ...]
    build: Callable[[], layers.Layer]
    gradients: dict[str, int]


def operations(scale: int) -> list[Operation]:
    """The operations of figures 12 to 14, of a size.

    Args:
      scale: multiplies channels and features; 1 is small enough for a GPU made of software.
    """
    c, n = 16 * scale, 64 * scale
    weights = {"dW": 0, "db": 1}
    return [
        Operation(
            f"convolution 3×3, 16×16×{c} → {c}",
            (16, 16, c),
            lambda: layers.Conv2D(c, 3, padding="same"),
            weights,
        ),
        Operation(
            f"convolution 1×1, 16×16×{c} → {2 * c}",
            (16, 16, c),
            lambda: layers.Conv2D(2 * c, 1),
            weights,
        ),
        Operation(
            f"depthwise 3×3, 16×16×{c}",
            (16, 16, c),
            lambda: layers.DepthwiseConv2D(3, padding="same"),
            weights,
        ),
        Operation(f"dense, {4 * n} → {n}", (4 * n,), lambda: layers.Dense(n), weights),
        Operation(
            f"batch normalization, 16×16×{c}",
            (16, 16, c),
            layers.BatchNormalization,
            {"dγ": 0, "dβ": 1},
        ),
        Operation(f"max pooling 2×2, 16×16×{c}", (16, 16, c), lambda: layers.MaxPooling2D(2), {}),
        Operation(f"ReLU, 16×16×{c}", (16, 16, c), lambda: layers.Activation("relu"), {}),
    ]


class _Given(layers.Layer):
    """Adds a variable of the input's whole shape: its gradient is that of the input."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(name="given")
        self.value = self.add_weight(shape=shape, name="value")

    def call(self, x: Any) -> Any:
        """The sum."""
        return x + self.value


def parts_of(operation: Operation, batch: int) -> list[Part]:
    """Forward pass and every gradient of one operation."""
    image = keras.Input(operation.shape)
    plain = keras.Model(image, operation.build()(image))
    given = keras.Input(operation.shape)
    fed = _Given((batch, *operation.shape))
    behind = keras.Model(given, operation.build()(fed(given)))
    found = [Part(operation.name, FORWARD, _graph(plain, batch, None))]
    found.append(Part(operation.name, "dX", _graph(behind, batch, [0])))
    for name, index in operation.gradients.items():
        found.append(Part(operation.name, name, _graph(plain, batch, [index])))
    return found


def forward_of(model: str, batch: int) -> Part:
    """The forward pass of a model of the zoo, as it is in training."""
    loaded = source.load(f"zoo:{model}", input_shape=None, classes=None, seed=0)
    return Part(model, FORWARD, _graph(loaded.model, batch, None))


def _graph(model: keras.Model, batch: int, wanted: Collection[int] | None) -> bytes:
    graph = trace(model, batch, training=True)
    (name,) = graph.inputs
    (output,) = graph.outputs.values()
    shapes = {"x": tuple(graph.inputs[name].shape)}
    shapes |= {f"w{i}": tuple(v.shape) for i, v in enumerate(model.variables)}
    if wanted is not None:
        shapes["dy"] = tuple(output.shape)

    def run(**given: Any) -> dict[str, Any]:
        weights = {i: given[f"w{i}"] for i in range(len(model.variables))}
        tape = replay(graph, RULES, {name: given["x"]}, weights)
        if wanted is None:
            return {"y": tape.values[output.name] * 1.0}
        gradients = tape.gradients({output.name: given["dy"]}, wanted)
        return {f"d{i}": gradients[i] for i in wanted}

    return _converted(run, shapes)


def _converted(run: Callable[..., dict[str, Any]], shapes: dict[str, tuple[int, ...]]) -> bytes:
    specs = {n: tf.TensorSpec(s, tf.float32, name=n) for n, s in shapes.items()}
    module = tf.Module()
    module.run = tf.function(lambda **given: run(**given), autograph=False)
    concrete = module.run.get_concrete_function(**specs)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
