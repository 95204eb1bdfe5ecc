"""A model's step as a flatbuffer with its initial values in it, compared with nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tfplus.errors import ExportError
from tfplus.system import memory
from tfplus_export.conversion import convert, flatbuffer, quantized_storage
from tfplus_export.conversion.quantized_storage import Place
from tfplus_export.costs import budget, cost
from tfplus_export.costs.memory import RUNTIMES, StepMemory
from tfplus_export.losses import compiled
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.lowering.engine import candidates
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Sgd
from tfplus_export.passes import rewriting
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.microbatching import choice
from tfplus_export.pipeline import step_size
from tfplus_export.pipeline.options import Options, Progress
from tfplus_export.pipeline.stages import stage
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.tracing import ports
from tfplus_export.train_step import training
from tfplus_export.train_step.signatures import StatefulModule
from tfplus_export.train_step.training import Training


@dataclass(frozen=True)
class Lowered:
    """A model's step as a flatbuffer, that nobody has compared with TensorFlow yet.

    Attributes:
      step: what was converted.
      content: the flatbuffer, with initial values in it.
      places: name of a variable → where its initial value lies, and in which form.
      values: name of a variable → its initial value.
      parts: in what parts the batch is taken.
    """

    step: Training
    content: bytes
    places: dict[str, Place]
    values: dict[str, np.ndarray]
    parts: str

    @property
    def variables_bytes(self) -> int:
        """Bytes of weights and optimizer state."""
        return sum(value.nbytes for value in self.values.values())


def lower(
    source: Source,
    model: keras.Model,
    options: Options,
    progress: Progress,
    *,
    arrange: bool = True,
) -> Lowered:
    """Traces, lowers and converts a model as it is, whatever `options.freeze` says.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      options: how.
      progress: told what is being done.
      arrange: whether to put the operators into an order that needs little memory.

    Raises:
      ExportError: it cannot be lowered or converted.
    """
    step = training_of(source, model, options)
    parts = choice.chosen(options.lowerings, source.name, options.batch_size)
    progress("converting to TFLite operators")
    module = StatefulModule(step)
    marked = convert.to_flatbuffer(module)
    values = _initial_values(step, model)
    if arrange:
        progress("ordering its operators")
        kept = StepMemory(
            graph_bytes=len(marked),
            packed_bytes=cost.packed_bytes(marked, "train"),
            variables_bytes=sum(value.nbytes for value in values.values()),
            arenas=dict.fromkeys(RUNTIMES, 0),
        )
        limit = targets.memory_limit([d for d, _ in options.targets], options.memory_budget_bytes)
        left = budget.tensor_limit_bytes(kept, options.runtimes, limit)
        graph = step_graph.read(marked, "train")
        whole = rewriting.plan(graph, options.runtimes, left)
        sizes = choice.NAMED[parts]
        planned = rewriting.in_parts(whole, options.runtimes, left, options.batch_size, sizes)
        parts = choice.WHOLE if planned is whole else parts
        marked = rewriting.rewrite(marked, planned)
    if options.weights != "float32":
        weights = {w.name for w in step.weights}
        forms = quantized_storage.choose(values, weights, options.weights)
        content, places, values = quantized_storage.shrink(marked, module.names, values, forms)
        return Lowered(step, content, places, values, parts)
    offsets = flatbuffer.variable_offsets(marked, module.shapes)
    places = {n: Place(offset) for n, offset in zip(module.names, offsets, strict=True)}
    return Lowered(step, _fill(marked, places, values), places, values, parts)


def losses_of(source: Source, model: keras.Model, name: str | None) -> Mapping[str, OutputLoss]:
    """The loss of each output: the one that was asked for, the compiled ones, or the default.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      name: in Keras; None for the compiled one.

    Raises:
      UsageError: there is no such loss.
    """
    outputs = list(ports.outputs(model))
    if name is not None or source.losses is None:
        return compiled.named(name or compiled.DEFAULT, outputs)
    # A sub-model has the outputs of the whole.
    return dict(zip(outputs, source.losses.values(), strict=True))


def training_of(source: Source, model: keras.Model, options: Options) -> Training:
    """Traces a model and plans its step, converting nothing yet.

    Raises:
      ExportError: an operation has no rule, nothing trains, or the step is too large.
    """
    with stage("tracing the training step"):
        step = training.build(
            model,
            options.optimizer or source.optimizer or Sgd(),
            losses=losses_of(source, model, options.loss),
            sample_weights=options.sample_weights,
            rules=candidates.named(RULES, choice.of_operations(options.lowerings)),
            batch_size=options.batch_size,
            infer_batch_size=options.infer_batch_size or options.batch_size,
        )
    memory_bytes = memory.total_bytes()
    step_size.check(step.train_graph, "--batch-size", step_size.TRAINING_COPIES, memory_bytes)
    infer_option = "--batch-size" if options.infer_batch_size is None else "--infer-batch-size"
    step_size.check(step.infer_graph, infer_option, step_size.INFERENCE_COPIES, memory_bytes)
    if not any(w.trainable for w in step.weights):
        raise ExportError("the model has no trainable weight")
    return step


def _initial_values(step: Training, model: keras.Model) -> dict[str, np.ndarray]:
    # Keras collects them anew each time.
    variables = model.variables
    weights = {w.name: np.array(variables[w.index].numpy(), np.float32) for w in step.weights}
    return weights | step.state()


def _fill(content: bytes, places: Mapping[str, Place], values: Mapping[str, np.ndarray]) -> bytes:
    filled = bytearray(content)
    for name, value in values.items():
        raw = np.ascontiguousarray(value, "<f4").tobytes()
        filled[places[name].offset : places[name].offset + len(raw)] = raw
    return bytes(filled)
