"""Stage `accelerate`: a functional graph for each accelerator, compared with the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfplus.model_file.companion_graphs import Accelerator
from tfplus_export.parity import rounding_alone
from tfplus_export.parity.errors.step_error import STEP_TOLERANCE
from tfplus_export.pipeline.stages.fill import TrainGraph
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.variants import gpu_graph
from tfplus_export.variants.gpu_graph import Accelerated

Graphs = Mapping[Accelerator, Accelerated]


def accelerated(asked: Request, graph: TrainGraph) -> Graphs:
    """Converts the step for the accelerators that the options name.

    Args:
      asked: what to export.
      graph: the file.

    Raises:
      ExportError: a delegate does not take an operator, or computes it wrongly.
    """
    step, seed = graph.step, asked.options.seed
    found: dict[Accelerator, Accelerated] = {}
    for accelerator in asked.options.accelerators:
        rounding = rounding_alone.weights(asked.model, step, seed)
        found[accelerator] = gpu_graph.gpu(step, graph.content, graph.values, seed, rounding)
    return found


def measured(graphs: Graphs) -> dict[str, Any]:
    """What the comparisons measured, for the manifest."""
    return {
        name: {"tolerance": STEP_TOLERANCE, "runs": graph.measured}
        for name, graph in graphs.items()
    }
