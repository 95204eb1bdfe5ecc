"""The graph of inference alone, whose weights are constants that may be written later.

With constant weights the runtime packs filters once and takes operators of its own for them: a
model that is not to be trained any further infers as fast as one that never was. Everything that
depends on weights alone is cut off into a graph of its own, `constants`, which turns the weights of
a checkpoint into what the other graph, `infer`, holds. What is left has no arithmetic on constants,
so the converter can only move their elements about; where to is seen by converting it with numbers
that are all different.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tfplus.errors import ExportError, TfplusError
from tfplus.model_file import baking
from tfplus.model_file.baking import Inference
from tfplus.model_file.companion_graphs import InferenceConstant
from tfplus.model_file.manifest import TensorInfo
from tfplus_export.conversion import convert
from tfplus_export.lowering.kernels.constants import FIXED
from tfplus_export.parity.samples import random_inputs
from tfplus_export.tf_types import Tensor
from tfplus_export.train_step.signatures import concrete, tensor_specs
from tfplus_export.train_step.training import Training
from tfplus_export.variants import scales

# Bit pattern of about 1.236: from there on a thousand million patterns are numbers, all different.
# Not 1.0, which the converter would store once for a constant of a single element and for the 1 of
# an operation, or leave out as a factor.
_FIRST_MARK = 0x3F9E3779
_MOST_MARKS = 1 << 29

Values = Mapping[str, np.ndarray]


class _Function(tf.Module):
    """One signature that runs part of a graph."""

    def __init__(
        self,
        signature: str,
        function: Any,
        taken: Mapping[str, TensorInfo],
        returned: Sequence[str],
        constants: Sequence[np.ndarray] = (),
    ) -> None:
        super().__init__()
        self._signature, self._function = signature, function
        self._taken, self._returned, self._constants = taken, returned, constants

    def concrete_functions(self) -> dict[str, Any]:
        """The signature as a concrete function."""
        specs = tensor_specs(self._taken)
        return {self._signature: concrete(self._run, specs.values(), self._taken)}

    def _run(self, *values: Tensor) -> dict[str, Tensor]:
        found = self._function(*values, *(tf.constant(c) for c in self._constants))
        return dict(zip(self._returned, tf.nest.flatten(found), strict=True))


def build(
    step: Training, stateful: bytes, values: Mapping[str, np.ndarray], seed: int
) -> Inference:
    """Builds both graphs, and compares `infer` with that of the graph with variables.

    Args:
      step: what was converted.
      stateful: the flatbuffer with variables.
      values: name of a variable → its initial value.
      seed: of the samples for the comparison.

    Raises:
      ExportError: the converter changes a constant, or inference computes something else.
    """
    graph, inputs, weights, outputs = _traced(step)
    scales.fold(graph, weights.values())
    fixed = scales.fixed_operations(graph, weights.values())
    from_weights = _reached(graph, weights.values())
    boundary = _boundary(outputs.values(), fixed & from_weights)
    if not boundary or any(t.dtype != tf.float32 for t in boundary):
        raise ExportError("--freezable: inference has no weights, or some that are not float32")
    whole = tf.compat.v1.wrap_function(
        lambda: tf.import_graph_def(graph.as_graph_def(), name=""), []
    )
    names = [f"c{i}" for i in range(len(boundary))]
    described = {n: TensorInfo(tuple(t.shape), "float32") for n, t in weights.items()}
    to_constants = convert.to_flatbuffer(
        _Function("constants", _part(whole, weights.values(), boundary), described, names)
    )
    marks = _marks(boundary)
    content = convert.to_flatbuffer(
        _Function(
            "infer",
            _part(whole, [*inputs.values(), *boundary], outputs.values()),
            step.inputs(step.infer_graph),
            list(outputs),
            marks,
        )
    )
    built = Inference(content, to_constants, _places(content, dict(zip(names, marks, strict=True))))
    rng = np.random.default_rng(seed)
    # Moved, for means of zero and variances of one would hide what they are folded into.
    moved = {
        n: v + 0.1 * np.abs(rng.standard_normal(v.shape, np.float32)) for n, v in values.items()
    }
    samples = random_inputs(step.infer_graph, rng)
    try:
        frozen = baking.filled(built, moved)
        apart = baking.difference(frozen, stateful, moved, samples)
    except TfplusError as error:
        raise ExportError(f"--freezable: {error}") from error
    if not apart <= baking.TOLERANCE:
        raise ExportError(
            f"--freezable: inference with constant weights is off by {apart:.1e}, expected at most "
            f"{baking.TOLERANCE:.0e}: this is a bug worth reporting"
        )
    return built


def _traced(
    step: Training,
) -> tuple[Any, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """The replayed pass in a graph of its own: it, its inputs, weights and outputs by name."""
    graph = tf.Graph()
    read = set(step.infer_graph.variables.values())
    with graph.as_default():
        inputs = {
            name: tf.compat.v1.placeholder(info.dtype, info.shape)
            for name, info in step.inputs(step.infer_graph).items()
        }
        every = {
            w.name: tf.compat.v1.placeholder(tf.float32, w.shape, name=f"{FIXED}{i}")
            for i, w in enumerate(step.weights)
        }
        outputs = {n: tf.identity(t) for n, t in step.predictions(inputs, every).items()}
    weights = {w.name: every[w.name] for w in step.weights if w.index in read}
    return graph, inputs, weights, outputs


def _part(whole: Any, feeds: Collection[Tensor], fetches: Collection[Tensor]) -> Any:
    """The part of a wrapped graph from some tensors to others."""
    named = whole.graph.get_tensor_by_name
    return whole.prune([named(t.name) for t in feeds], [named(t.name) for t in fetches])


def _reached(graph: Any, weights: Collection[Tensor]) -> set[str]:
    """Names of the operations that depend on a weight."""
    reached = {t.op.name for t in weights}
    for op in scales.inputs_first(graph):
        if any(t.op.name in reached for t in op.inputs):
            reached.add(op.name)
    return reached


def _boundary(outputs: Collection[Tensor], fixed: Collection[str]) -> list[Tensor]:
    """What the operations on data take of those on weights, in a fixed order."""
    found: dict[str, Tensor] = {}
    seen: set[str] = set()
    pending = list(outputs)
    while pending:
        tensor = pending.pop()
        if tensor.op.name in fixed:
            found[tensor.name] = tensor
        elif tensor.op.name not in seen:
            seen.add(tensor.op.name)
            pending.extend(tensor.op.inputs)
    return list(found.values())


def _marks(boundary: Sequence[Tensor]) -> list[npt.NDArray[np.float32]]:
    """Constants in which every number is another one, in all of them together."""
    sizes = [int(np.prod(t.shape)) for t in boundary]
    if sum(sizes) > _MOST_MARKS:
        raise ExportError(f"--freezable: more than {_MOST_MARKS} weights")
    starts = itertools.accumulate(sizes, initial=0)
    return [
        np.arange(_FIRST_MARK + start, _FIRST_MARK + start + size, dtype=np.uint32)
        .view(np.float32)
        .reshape(tuple(tensor.shape))
        for tensor, size, start in zip(boundary, sizes, starts, strict=False)
    ]


def _places(content: bytes, marks: Mapping[str, np.ndarray]) -> tuple[InferenceConstant, ...]:
    """Where each constant lies, and in which order of its axes."""
    model: Any = schema.Model.GetRootAs(content, 0)
    base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    by_least = {int(mark.view(np.uint32).min()): name for name, mark in marks.items()}
    found: dict[int, InferenceConstant] = {}
    for i in range(model.BuffersLength()):
        data = model.Buffers(i).DataAsNumpy()
        if not isinstance(data, np.ndarray) or data.size % 4 or not data.size:
            continue
        bits = data.view(np.uint32)
        name = by_least.get(int(bits.min()))
        order = None if name is None else _order(marks[name].view(np.uint32), bits)
        if name is not None and order is not None:
            offset = data.__array_interface__["data"][0] - base
            found[offset] = InferenceConstant(name, offset, tuple(marks[name].shape), order)
    missing = set(marks) - {place.name for place in found.values()}
    if missing:
        raise ExportError(
            f"--freezable: the converter computes with constants of inference ({len(missing)} of "
            f"{len(marks)}), so trained weights cannot take their place"
        )
    return tuple(found[offset] for offset in sorted(found))


def _order(mark: npt.NDArray[np.uint32], bits: npt.NDArray[np.uint32]) -> tuple[int, ...] | None:
    """The order of a constant's axes in which its elements lie in a buffer; None where in none."""
    if mark.size != bits.size:
        return None
    for order in itertools.permutations(range(mark.ndim)):
        if np.array_equal(mark.transpose(order).ravel(), bits):
            return order
    return None
