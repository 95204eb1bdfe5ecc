"""What a step costs, told before an export and after it."""

from __future__ import annotations

import dataclasses

from tfplus.model_file.artifact import Artifact
from tfplus_export.costs import budget, savings
from tfplus_export.costs.preview import Preview, preview
from tfplus_export.costs.savings import Savings
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options, Progress
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.tracing.checks import check_model


def fit_batch(source: Source, options: Options, progress: Progress) -> Options:
    """Chooses the largest batch that fits into the memory budget and the targets' memory.

    Args:
      source: the model.
      options: with a memory budget; their batch size is replaced.
      progress: told what is being done.

    Raises:
      ExportError: not even one sample fits, or the model cannot be exported.

    Examples:
      >>> from tfplus_export.pipeline.api import Options
      >>> from tfplus_export.pipeline.sizing import fit_batch
      >>> from tfplus_export.sources.source import load
      >>> model = load("zoo:fc-d1-w8", input_shape=(4, 4, 1), classes=(0, 1), seed=0)
      >>> options = fit_batch(model, Options(memory_budget_bytes=200_000_000), print)
      looking for the largest batch that fits
      >>> options.batch_size > 32
      True
    """
    limit = targets.memory_limit([t for t, _ in options.targets], options.memory_budget_bytes)
    if limit is None:
        return options
    progress("looking for the largest batch that fits")
    seen = preview_step(source, options)
    return dataclasses.replace(
        options, batch_size=budget.choose_batch(seen, options.runtimes, limit)
    )


def preview_step(source: Source, options: Options) -> Preview:
    """Converts the step for two small batches, to tell what any batch costs.

    Raises:
      ExportError: the model cannot be exported.

    Examples:
      >>> from tfplus_export.pipeline.api import Options
      >>> from tfplus_export.pipeline.sizing import preview_step
      >>> from tfplus_export.sources.source import load
      >>> model = load("zoo:fc-d1-w8", input_shape=(4, 4, 1), classes=(0, 1), seed=0)
      >>> seen = preview_step(model, Options())
      >>> seen.flops(64) == 2 * seen.flops(32)
      True
    """
    check_model(source.model)

    def convert_for(batch_size: int) -> tuple[bytes, int]:
        small = dataclasses.replace(options, batch_size=batch_size)
        graph = train_graph.build(source, source.model, small, lambda text: None, schedule=False)
        return graph.content, graph.variables_bytes

    with options.freeze.applied(source.model):
        return preview(convert_for, options.runtimes)


def measure_savings(
    source: Source, exported: Artifact, options: Options, progress: Progress
) -> Savings:
    """Compares an exported file with the one that trains all that the source trains.

    Args:
      source: the model.
      exported: what `export` made of it.
      options: with which.
      progress: told what is being done.
    """
    progress("measuring what freezing saves")
    unfrozen = train_graph.build(source, source.model, options, lambda text: None)
    frozen = exported.path.read_bytes()[: exported.manifest.flatbuffer_bytes]
    return savings.measure(unfrozen.content, frozen)
