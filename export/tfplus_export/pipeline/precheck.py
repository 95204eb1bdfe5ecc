"""What keeps a model from being exported, all at once, and what its step would cost.

Nothing is compared with TensorFlow and no file is written: that is what an export does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tfplus.errors import ExportError
from tfplus_export.costs import budget
from tfplus_export.costs.memory import peak_bytes
from tfplus_export.costs.preview import Preview
from tfplus_export.lowering.engine.survey import survey
from tfplus_export.lowering.table import RULES
from tfplus_export.pipeline import sizing
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.tracing import checks, model_io
from tfplus_export.tracing.graph import trace

# Of the pass that is looked through.
_BATCH = 2


@dataclass(frozen=True)
class LayerReport:
    """A layer of the model.

    Attributes:
      name: of the layer.
      kind: its class.
      output_shape: of one batch, where Keras knows it; the batch is None.
      parameters: scalars of its weights.
      trainable: how many of those train.
      problems: what stops it; empty where all is well.
    """

    name: str
    kind: str
    output_shape: Any
    parameters: int
    trainable: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class BatchCost:
    """What a step on a batch of some size costs.

    Attributes:
      batch_size: samples.
      flops: floating-point operations of its products and convolutions.
      arena_bytes: memory of its tensors.
      peak_memory_bytes: runtime → estimated peak of the process that trains.
    """

    batch_size: int
    flops: int
    arena_bytes: int
    peak_memory_bytes: dict[str, int]


@dataclass(frozen=True)
class TargetReport:
    """Whether a device with a runtime takes the step.

    Attributes:
      target: the device.
      runtime: its runtime.
      problem: the first operator that it lacks; None where it has all.
      memory_limit_bytes: what a process may take there; None where nothing is known.
      largest_batch: the largest that fits, at most 1024; 0 where none does.
    """

    target: str
    runtime: str
    problem: str | None
    memory_limit_bytes: int | None
    largest_batch: int


@dataclass(frozen=True)
class Report:
    """The whole answer.

    Attributes:
      name: of the source.
      exports: whether nothing was found that stops an export.
      problems: of the model as a whole.
      layers: from the input on.
      batches: costs by batch size; empty where the step cannot be converted.
      targets: devices and runtimes, likewise.
    """

    name: str
    exports: bool
    problems: tuple[str, ...]
    layers: tuple[LayerReport, ...]
    batches: tuple[BatchCost, ...] = ()
    targets: tuple[TargetReport, ...] = ()


def check(
    source: Source,
    options: Options,
    batch_sizes: Sequence[int],
    known: Sequence[str],
    progress: Callable[[str], None],
) -> Report:
    """Looks through a model.

    Args:
      source: the model.
      options: how it would be exported.
      batch_sizes: whose costs are estimated.
      known: problems that were found as it was loaded.
      progress: told what is being done.

    Examples:
      >>> from tfplus_export.pipeline.api import Options
      >>> from tfplus_export.pipeline.precheck import check
      >>> from tfplus_export.sources.source import load
      >>> model = load("zoo:fc-d1-w8", input_shape=(4, 4, 1), classes=(0, 1), seed=0)
      >>> report = check(model, Options(), [32], [], lambda text: None)
      >>> report.exports, [layer.name for layer in report.layers if layer.trainable]
      (True, ['dense1', 'logits'])
    """
    model = source.model
    problems = [*known, *checks.problems(model)]
    with options.freeze.applied(model):
        by_layer: dict[str, list[str]] = {}
        if _is_traceable(model):
            progress("looking at every operation")
            try:
                for name, problem in survey(trace(model, _BATCH, training=True), RULES):
                    by_layer.setdefault(name, []).append(problem)
            except ExportError as error:
                problems.append(str(error))
        layers = _layers(model, by_layer)
        # What no layer of the model made, such as arithmetic between layers.
        problems += [f"{name}: {text}" for name, texts in by_layer.items() for text in texts]
    seen: Preview | None = None
    if not problems and not any(layer.problems for layer in layers):
        progress("converting the step for two small batches")
        try:
            seen = sizing.preview_step(source, options)
        except ExportError as error:
            problems.append(str(error))
    exports = seen is not None
    if seen is None:
        return Report(source.name, exports, tuple(dict.fromkeys(problems)), layers)
    return Report(
        source.name,
        exports,
        (),
        layers,
        tuple(_cost(seen, batch) for batch in batch_sizes),
        tuple(_target(seen, d, r) for d in targets.DEVICES for r in targets.RUNTIMES),
    )


def _is_traceable(model: keras.Model) -> bool:
    if not model.built or not getattr(model, "outputs", None):
        return False
    given = model_io.inputs(model).values()
    return all(None not in p.shape and p.taken_as is not None for p in given)


def _cost(seen: Preview, batch_size: int) -> BatchCost:
    memory = seen.memory(batch_size)
    return BatchCost(
        batch_size,
        seen.flops(batch_size),
        memory.planned_bytes[targets.RUNTIMES[0]],
        {runtime: peak_bytes(memory, runtime) for runtime in targets.RUNTIMES},
    )


def _target(seen: Preview, device: str, runtime: str) -> TargetReport:
    limit = targets.device(device).memory_bytes
    largest = seen.largest_batch(
        lambda memory: limit is None or peak_bytes(memory, runtime) <= limit, budget.MOST_SAMPLES
    )
    problem = targets.operator_problem(seen.low, targets.runtime(runtime))
    return TargetReport(device, runtime, problem, limit, largest)


def _layers(model: keras.Model, by_layer: dict[str, list[str]]) -> tuple[LayerReport, ...]:
    """Reports of all layers; takes out of `by_layer` what belongs to them."""
    pending: list[Any] = list(reversed(model.layers))
    found: list[LayerReport] = []
    seen: set[int] = set()
    while pending:
        layer = pending.pop()
        if isinstance(layer, keras.Model):
            pending.extend(reversed(layer.layers))
            continue
        if id(layer) in seen or isinstance(layer, keras.layers.InputLayer):
            continue
        seen.add(id(layer))
        parts = [part.name for part in layer._flatten_layers()]
        texts = [
            text if name == layer.name else f"{name}: {text}"
            for name in dict.fromkeys(parts)
            for text in by_layer.pop(name, [])
        ]
        found.append(
            LayerReport(
                name=layer.name,
                kind=type(layer).__name__,
                output_shape=_output_shape(layer),
                parameters=_scalars(layer.weights),
                trainable=_scalars(layer.trainable_weights),
                problems=tuple(texts),
            )
        )
    return tuple(found)


def _output_shape(layer: Any) -> Any:
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        # Not called on symbolic tensors, or called several times.
        return None
    return [None if d is None else int(d) for d in shape]


def _scalars(weights: Sequence[Any]) -> int:
    total = 0
    for weight in weights:
        size = 1
        for extent in weight.shape:
            size *= int(extent)
        total += size
    return total
