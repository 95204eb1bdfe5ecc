"""The pass for operations: the runtime's own profiler, each operation with its Keras layer."""

from __future__ import annotations

from tfplus.benchmark.repetition import Answer, Operation
from tfplus.errors import WorkerError
from tfplus.profiling import layers
from tfplus.runtime import accelerators
from tfplus_agent.benchmark.opened import Opened

_WARM_UP = 3


def run(opened: Opened) -> Answer:
    """Profiles the step.

    Raises:
      WorkerError: the runtime has no profiler, or the model is to run on a GPU.
    """
    request = opened.request
    if request.accelerator != accelerators.CPU:
        raise WorkerError(f"operations on the {request.accelerator}: LiteRT's profiler sees none")
    profile = layers.measure(
        opened.found,
        request.phase,
        runtime=opened.runtime,
        threads=request.threads,
        xnnpack=opened.xnnpack,
        warmup=_WARM_UP,
        steps=max(1, request.iterations - _WARM_UP),
    )
    known = tuple(
        Operation(o.name, "" if o.layer == layers.NO_LAYER else o.layer, o.phase, o.ms)
        for o in profile.operators
    )
    values = {
        "profiled_step_ms": profile.mean_ms,
        "profiled_median_ms": profile.step_ms,
        "operations_sum_ms": sum(o.ms for o in known),
        "between_operations_ms": profile.between_ms,
        "partitions_count": profile.partitions,
        "matched_share": profile.matched,
    }
    return Answer(opened.runtime, (), values, operations=known)
