"""Decoupling as a function: from a trained model and samples to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfplus.decoupling import assignment, plan_folder
from tfplus.decoupling.plan import Accuracy, DecoupledLayer, Plan
from tfplus_export.decoupling import activations, branches, costs
from tfplus_export.decoupling.activations import Progress
from tfplus_export.decoupling.fine_tune import fine_tune
from tfplus_export.decoupling.recalibrate import recalibrate
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure.tail import Tail
from tfplus_export.tracing.naming import variable_names


@dataclass(frozen=True)
class Options:
    """How to decouple.

    Attributes:
      share: fraction of each layer's filters that a class gets; None for 1 / classes.
      overlap: whether classes share filters.
      epochs: of fine-tuning.
      learning_rate: of fine-tuning.
      batch_size: of a step of fine-tuning.
      seed: of fine-tuning.
    """

    share: float | None = None
    overlap: bool = False
    epochs: int = 0
    learning_rate: float = 1e-3
    batch_size: int = 32
    seed: int = 0


def shares(tail: Tail, options: Options) -> dict[str, int]:
    """How many filters of each decoupled layer a class gets.

    Raises:
      UsageError: a share leaves a class none, or there are not enough.
    """
    share = _share(tail, options)
    return {
        name: assignment.share_of(
            name, int(tail.made(name).shape[-1]), tail.classes, share, overlap=options.overlap
        )
        for name in tail.decoupled
    }


def decouple(
    tail: Tail,
    labels: Sequence[int],
    samples: Samples,
    judged: Samples,
    source: str,
    folder: Path,
    options: Options,
    progress: Progress,
    optimizer: Mapping[str, Any] | None = None,
) -> Plan:
    """Decouples a model and writes the plan.

    Args:
      tail: of the model.
      labels: of each class.
      samples: what filters are measured with, and what is fine-tuned on.
      judged: what accuracy is measured on.
      source: name of the model.
      folder: where the plan goes; new, or empty.
      options: how.
      progress: told what is being done.
      optimizer: that the model was compiled with, as a manifest describes one.

    Raises:
      UsageError: the share does not fit.
      DataError: an activation is NaN or infinite.
    """
    counts = shares(tail, options)
    progress("measuring the accuracy of the model")
    before = activations.accuracy(tail.model, judged)
    preferences, moments = activations.measure(tail, samples, progress)
    filters = {
        name: assignment.assign(preferences[name], counts[name], overlap=options.overlap)
        for name in tail.decoupled
    }
    progress("cutting the connections between classes")
    model = branches.build(tail, labels, filters)
    pruned = activations.accuracy(model, judged)
    recalibrate(model, tail, labels, filters, moments, samples, progress)
    recalibrated = activations.accuracy(model, judged)
    tuned = None
    if options.epochs:
        fine_tune(
            model,
            tail.activation,
            samples,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            batch_size=options.batch_size,
            seed=options.seed,
            progress=progress,
        )
        tuned = activations.accuracy(model, judged)
    names = variable_names(model)
    plan = Plan(
        plan_id="",
        source=source,
        classes=tuple(labels),
        share=_share(tail, options),
        overlap=options.overlap,
        shared_layer=str(tail.cut._keras_history.operation.name),
        classifier=tail.head.operation.name,
        activation=tail.activation,
        output=tail.output,
        layers=tuple(
            DecoupledLayer(name, preferences[name].astype(np.float32), filters[name])
            for name in tail.decoupled
        ),
        scale=samples.preprocessing.scale,
        offset=samples.preprocessing.offset,
        scales_floats=samples.preprocessing.floats,
        accuracy=Accuracy(judged.name, len(judged), before, pruned, recalibrated, tuned),
        costs=costs.of_parts(tail, model, labels),
        weights={names[id(v)]: np.asarray(v) for v in _variables(model)},
        optimizer=optimizer,
    )
    progress("writing the plan")
    untyped: Any = model
    return plan_folder.write(folder, plan, lambda path: untyped.save(path))


def _share(tail: Tail, options: Options) -> float:
    return 1 / tail.classes if options.share is None else options.share


def _variables(model: keras.Model) -> list[Any]:
    """Those that devices exchange: not the seeds of dropout, which are no floats."""
    return [v for v in model.variables if "float" in str(v.dtype)]
