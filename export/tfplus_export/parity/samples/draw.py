"""Batches for the comparison with TensorFlow, such as the model and its losses take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tfplus_export.losses import padding
from tfplus_export.parity.samples.input_normalization import normalization
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import Graph
from tfplus_export.train_step.loss_heads import SAMPLE_WEIGHT, LossHead
from tfplus_export.train_step.training import Training

Batch = dict[str, np.ndarray]

# Whole numbers that nothing looks up in a table: from 0 up to here.
_NUMBERS = 10
# What looks up rows by index → its inputs that are the table and the index.
_LOOKUPS = {"GatherV2": (0, 1), "ResourceGather": (0, 1)}


class Draw(Protocol):
    """Where the batches of a comparison come from."""

    def describe(self, seed: int) -> str:
        """What they are, in a few words."""
        ...

    def inputs(self, graph: Graph, rng: np.random.Generator) -> Batch:
        """Inputs of one batch of a traced pass."""
        ...

    def batch(self, training: Training, rng: np.random.Generator) -> Batch:
        """All arguments of one step."""
        ...


class RandomSamples:
    """Inputs that are standard normal behind preprocessing layers, and targets at random."""

    def describe(self, seed: int) -> str:
        """See `Draw`."""
        return f"standard normal behind preprocessing layers, seed {seed}"

    def inputs(self, graph: Graph, rng: np.random.Generator) -> Batch:
        """See `Draw`."""
        return random_inputs(graph, rng)

    def batch(self, training: Training, rng: np.random.Generator) -> Batch:
        """See `Draw`."""
        return random_inputs(training.train_graph, rng) | random_targets(training, rng)


def random_inputs(graph: Graph, rng: np.random.Generator) -> Batch:
    """Floats, and integers that every table they index has a row for.

    Floats are standard normal where the first layer is that learns: behind a Rescaling by 1/128,
    a standard normal input would be a nearly constant image, and a batch normalization of it would
    divide by next to nothing.
    """
    batch: Batch = {}
    for name, tensor in graph.inputs.items():
        shape = [int(d) for d in tensor.shape]
        if tensor.dtype.is_floating:
            drawn = rng.standard_normal(shape, np.float32)
            layers = normalization(graph, tensor)
            batch[name] = drawn if layers is None else layers.before(drawn)
        else:
            size = vocabulary(graph, tensor) or _NUMBERS
            batch[name] = rng.integers(0, size, shape, tensor.dtype.as_numpy_dtype)
    return batch


def random_targets(training: Training, rng: np.random.Generator) -> Batch:
    """Targets of every loss, and sample weights where the step takes them."""
    given = training.arguments()
    batch: Batch = {}
    for head in training.loss_heads:
        outputs = int(head.at(training.train_graph).shape[-1])
        batch[head.target] = _targets(head, given[head.target].shape, outputs, rng)
    if training.sample_weights:
        batch[SAMPLE_WEIGHT] = rng.uniform(0.5, 2.0, given[SAMPLE_WEIGHT].shape).astype(np.float32)
    return batch


def padded(training: Training, batch: Mapping[str, np.ndarray], rows: int, first: int = 0) -> Batch:
    """A batch of which some rows count and all others are padding.

    With batch statistics the rows repeat, so that the statistics are theirs.

    Args:
      training: the step.
      batch: whose first rows are taken.
      rows: how many.
      first: where the first of them lies, and the others behind it, around the end. Where noise is
        drawn it is 0: each place has noise of its own.
    """
    padded = {name: np.array(value) for name, value in batch.items()}
    if training.batch_dependent:
        for name in training.train_graph.inputs:
            padded[name] = np.resize(padded[name][:rows], padded[name].shape)
    for head in training.loss_heads:
        padded[head.target][rows:] = padding.fill(head.loss.targets)
    return {
        name: np.roll(value, 0 if training.draws_noise else first, 0)
        for name, value in padded.items()
    }


def vocabularies(graph: Graph) -> dict[str, int]:
    """Name of an input that something indexes → how many rows the smallest such table has."""
    found = {n: vocabulary(graph, t) for n, t in graph.inputs.items() if not t.dtype.is_floating}
    return {name: size for name, size in found.items() if size is not None}


def vocabulary(graph: Graph, tensor: Tensor) -> int | None:
    """How many rows the smallest table has that an input indexes; None where it indexes none."""
    dependent = {tensor.name}
    sizes: list[int] = []
    for op in graph.operations:
        if not any(t.name in dependent for t in op.inputs):
            continue
        dependent.update(t.name for t in op.outputs if not t.dtype.is_floating)
        if op.type in _LOOKUPS:
            table, index = (op.inputs[i] for i in _LOOKUPS[op.type])
            axis = int(static_value(op.inputs[2])) if op.type == "GatherV2" else 0
            if index.name in dependent and table.shape.rank is not None:
                sizes.append(int(table.shape[axis]))
        elif op.type == "OneHot":
            sizes.append(int(static_value(op.inputs[1])))
    return min(sizes, default=None)


def _targets(
    head: LossHead, shape: tuple[int, ...], outputs: int, rng: np.random.Generator
) -> np.ndarray:
    loss = head.loss
    if loss.targets == "label":
        return rng.integers(0, outputs, shape, np.int32)
    if loss.targets == "value":
        return rng.standard_normal(shape, np.float32)
    if loss.targets == "binary":
        return rng.integers(0, 2, shape).astype(np.float32)
    return np.eye(outputs, dtype=np.float32)[rng.integers(0, outputs, shape[:-1])]
