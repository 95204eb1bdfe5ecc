"""Stage `trace`: the model's training step as one pure function of lowered operations."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from tfplus.errors import ExportError
from tfplus.system import memory
from tfplus_export.losses import compiled
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.lowering.engine import kernel_variants
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Sgd
from tfplus_export.passes.microbatching import choice
from tfplus_export.pipeline.stages import step_size
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.tracing import model_io
from tfplus_export.train_step import training
from tfplus_export.train_step.training import Training


def training_step(source: Source, model: keras.Model, options: Options) -> Training:
    """Traces a model and plans its step, converting nothing yet.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      options: how.

    Raises:
      ExportError: an operation has no rule, nothing trains, or the step is too large.
    """
    step = training.build(
        model,
        options.optimizer or source.optimizer or Sgd(),
        losses=losses_of(source, model, options.loss),
        sample_weights=options.sample_weights,
        rules=kernel_variants.named(RULES, choice.of_operations(options.lowerings)),
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


def losses_of(source: Source, model: keras.Model, name: str | None) -> Mapping[str, OutputLoss]:
    """The loss of each output: the one that was asked for, the compiled ones, or the default.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      name: in Keras; None for the compiled one.

    Raises:
      UsageError: there is no such loss.
    """
    outputs = list(model_io.outputs(model))
    if name is not None or source.losses is None:
        return compiled.named(name or compiled.DEFAULT, outputs)
    # A sub-model has the outputs of the whole.
    return dict(zip(outputs, source.losses.values(), strict=True))
