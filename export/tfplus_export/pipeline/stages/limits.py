"""Stage `limits`: whether the file fits the memory and the operators of what shall run it."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.errors import ExportError
from tfplus.model_file.manifest import CheckedTarget
from tfplus_export.conversion import flatbuffer
from tfplus_export.costs import budget, cost
from tfplus_export.pipeline.stages.fill import TrainGraph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.targets import targets


@dataclass(frozen=True)
class WithinLimits:
    """What is known of a file that fits.

    Attributes:
      operators: name of an operator → how many the file has.
      targets: the devices and runtimes that it was checked for.
    """

    operators: dict[str, int]
    targets: tuple[CheckedTarget, ...]


def within_limits(graph: TrainGraph, options: Options) -> WithinLimits:
    """Checks a file's operators and its memory.

    Args:
      graph: the file.
      options: with the targets and the budget.

    Raises:
      ExportError: a runtime lacks an operator, or a device the memory.
    """
    counts = flatbuffer.operators(graph.content)
    flex = flatbuffer.flex_operators(counts)
    if flex:
        raise ExportError(f"operators {', '.join(flex)} need the Flex delegate")
    memory = cost.step_memory(graph.content, graph.variables_bytes)
    if options.memory_budget_bytes is not None:
        budget.check_batch(
            memory, options.runtimes, options.memory_budget_bytes, options.batch_size
        )
    checked = tuple(targets.check(graph.content, memory, *pair) for pair in options.targets)
    return WithinLimits(counts, checked)
