"""The stages from a model to its training step as a flatbuffer, compared with nothing yet."""

from __future__ import annotations

import keras

from tfplus_export.pipeline.stages.convert import converted
from tfplus_export.pipeline.stages.fill import TrainGraph, filled
from tfplus_export.pipeline.stages.options import Options, Progress
from tfplus_export.pipeline.stages.schedule import Scheduled, microbatches, scheduled
from tfplus_export.pipeline.stages.stage import CONVERT, FILL, SCHEDULE, TRACE, Run
from tfplus_export.pipeline.stages.trace import training_step
from tfplus_export.sources.source import Source
from tfplus_export.train_step.training import Training


def build(
    source: Source,
    model: keras.Model,
    options: Options,
    progress: Progress,
    *,
    schedule: bool = True,
) -> TrainGraph:
    """Traces, lowers and converts a model as it is, whatever `options.freeze` says.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      options: how.
      progress: told what is being done.
      schedule: whether to put the operators into an order that needs little memory.

    Raises:
      ExportError: it cannot be lowered or converted.
    """
    do = Run(progress)
    step = do(TRACE, training_step, source, model, options)
    named = microbatches(source.name, options)
    as_converted = do(CONVERT, converted, step, model)
    if schedule:
        ordered = do(SCHEDULE, scheduled, as_converted, named, options)
    else:
        ordered = Scheduled(as_converted.content, named)
    return do(FILL, filled, as_converted, ordered, options.weights)


def training_of(source: Source, model: keras.Model, options: Options) -> Training:
    """Traces a model and plans its step, converting nothing yet.

    Raises:
      ExportError: an operation has no rule, nothing trains, or the step is too large.
    """
    return Run(lambda text: None)(TRACE, training_step, source, model, options)
