"""Stage `features`: the frozen layers as a graph of their own, compared with Keras."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus.model_file.companion_graphs import FeatureGraph
from tfplus.model_file.manifest import FrozenWeight, TensorInfo
from tfplus.runtime import interpreter
from tfplus_export.conversion import convert, flatbuffer
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.targets import targets
from tfplus_export.tracing import model_io
from tfplus_export.tracing.naming import variable_names
from tfplus_export.train_step.signatures import concrete, tensor_specs

SIGNATURE = "features"
# Of the largest feature; float32 convolutions are off by 1e-6.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class SharedGraph:
    """The frozen layers as a file has them.

    Attributes:
      content: the flatbuffer.
      described: for the manifest.
      frozen: the weights in it.
      error: largest difference from Keras, relative to the largest feature.
    """

    content: bytes
    described: FeatureGraph
    frozen: tuple[FrozenWeight, ...]
    error: float


class _Module(tf.Module):
    """The shared layers in inference mode; their weights become constants."""

    def __init__(self, model: keras.Model, taken: dict[str, TensorInfo]) -> None:
        super().__init__()
        self._model, self._taken = model, taken
        parts = model.trainable_variables, model.non_trainable_variables
        self._weights = tuple(tuple(np.asarray(v) for v in part) for part in parts)

    def concrete_functions(self) -> dict[str, Any]:
        """The signature as a concrete function."""
        traced = concrete(self._run, tensor_specs(self._taken).values(), self._taken)
        return {SIGNATURE: traced}

    def _run(self, sample: Any) -> dict[str, Any]:
        model: Any = self._model
        # As constants: the graph has no state, and the runtime packs filters once.
        weights = ([tf.constant(v) for v in part] for part in self._weights)
        made, _ = model.stateless_call(*weights, sample, training=False)
        return {SIGNATURE: tf.identity(made)}


def shared_graphs(shared: Sequence[keras.Model], options: Options) -> tuple[SharedGraph, ...]:
    """Converts the frozen pieces of a model, one behind the other.

    Args:
      shared: from the model's input to what its head or its branches read.
      options: of the export.

    Raises:
      ExportError: as `shared_graph`.
    """
    return tuple(shared_graph(piece, options) for piece in shared)


def shared_graph(shared: keras.Model, options: Options) -> SharedGraph:
    """Converts one frozen piece of a model.

    Args:
      shared: from one tensor to one tensor.
      options: of the export.

    Raises:
      ExportError: the converter or a target does not take a layer, or the graph computes something
        else than Keras.
    """
    ((name, tensor),) = model_io.inputs(shared).items()
    dtype = tensor.taken_as
    shape = tuple(int(d) for d in tensor.shape if d is not None)
    feature: Any = shared.outputs[0]
    made = tuple(int(d) for d in feature.shape[1:] if d is not None)
    if dtype is None or len(shape) < len(tensor.shape) or len(made) < len(feature.shape) - 1:
        raise ExportError(
            f"the frozen layers take {tensor.dtype}{list(tensor.shape)} and make "
            f"{list(feature.shape[1:])}: expected tensors of a fixed shape"
        )
    rows = options.infer_batch_size or options.batch_size
    taken = {name: TensorInfo((rows, *shape), dtype)}
    content = convert.to_flatbuffer(_Module(shared, taken))
    counts = flatbuffer.operators(content)
    if flex := flatbuffer.flex_operators(counts):
        raise ExportError(f"frozen layers: operators {', '.join(flex)} need the Flex delegate")
    for _, name_of in options.targets:
        problem = targets.operator_problem(content, targets.runtime(name_of))
        if problem is not None:
            raise ExportError(f"frozen layers: {problem}")
    described = FeatureGraph(
        layer=str(feature._keras_history.operation.name),
        input=name,
        sample=TensorInfo(shape, dtype),
        feature=TensorInfo(made, "float32"),
        batch_size=rows,
    )
    error = _difference(content, shared, taken, options.seed)
    if not error <= TOLERANCE:
        raise ExportError(
            f"the graph of the frozen layers is off by {error:.1e} of its largest "
            f"output, expected at most {TOLERANCE:.0e}: this is a bug worth reporting"
        )
    return SharedGraph(content, described, _frozen(shared), error)


def measured(graphs: Sequence[SharedGraph]) -> dict[str, Any]:
    """What the comparison measured, for the manifest."""
    if not graphs:
        return {}
    largest = max(graph.error for graph in graphs)
    return {SIGNATURE: {"tolerance": TOLERANCE, "max_relative_error": largest}}


def _difference(
    content: bytes, shared: keras.Model, taken: dict[str, TensorInfo], seed: int
) -> float:
    """Largest difference from Keras on random samples, relative to the largest feature."""
    ((name, info),) = taken.items()
    rng = np.random.default_rng(seed)
    sample = rng.random(info.shape).round(0 if info.dtype == "int32" else 7).astype(info.dtype)
    untyped: Any = shared
    wanted = np.asarray(untyped(sample, training=False))
    (found,) = interpreter.find().runner(content, SIGNATURE, threads=1)(**{name: sample}).values()
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return float("inf")
    largest = float(np.abs(wanted).max(initial=0.0)) or 1.0
    return float(np.abs(found - wanted).max(initial=0.0)) / largest


def _frozen(shared: keras.Model) -> tuple[FrozenWeight, ...]:
    names = variable_names(shared)
    values = {names[id(v)]: np.asarray(v) for v in shared.variables if "float" in str(v.dtype)}
    return tuple(
        FrozenWeight(
            name,
            tuple(value.shape),
            hashlib.sha256(
                np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
            ).hexdigest(),
        )
        for name, value in values.items()
    )
