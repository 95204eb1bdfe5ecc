"""Stage `schedule`: operators in an order that needs little memory, on microbatches."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus_export.costs import budget, cost
from tfplus_export.costs.memory import RUNTIMES, StepMemory
from tfplus_export.passes import rewriting
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.microbatching import choice
from tfplus_export.pipeline.stages.convert import Converted
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.targets import targets


@dataclass(frozen=True)
class Scheduled:
    """A flatbuffer whose operators lie in the order in which they shall run.

    Attributes:
      content: the flatbuffer, with markers for values.
      microbatches: name of the sizes in which the batch is taken.
    """

    content: bytes
    microbatches: str


def scheduled(converted: Converted, named: str, options: Options) -> Scheduled:
    """Orders a step's operators, and divides those on much data into microbatches.

    Args:
      converted: the step, as the converter wrote it.
      named: the sizes of microbatches, see `microbatches`.
      options: how.
    """
    kept = StepMemory(
        graph_bytes=len(converted.content),
        packed_bytes=cost.packed_bytes(converted.content, "train"),
        variables_bytes=converted.variables_bytes,
        planned_bytes=dict.fromkeys(RUNTIMES, 0),
    )
    limit = targets.memory_limit([d for d, _ in options.targets], options.memory_budget_bytes)
    left = budget.tensor_limit_bytes(kept, options.runtimes, limit)
    graph = step_graph.read(converted.content, "train")
    whole = rewriting.plan(graph, options.runtimes, left)
    sizes = choice.NAMED[named]
    planned = rewriting.on_microbatches(whole, options.runtimes, left, options.batch_size, sizes)
    content = rewriting.rewrite(converted.content, planned)
    return Scheduled(content, choice.WHOLE if planned is whole else named)


def microbatches(model_name: str, options: Options) -> str:
    """The name of the sizes of microbatches that the options ask for, or the default.

    Raises:
      UsageError: there is no such name.
    """
    return choice.chosen(options.lowerings, model_name, options.batch_size)
