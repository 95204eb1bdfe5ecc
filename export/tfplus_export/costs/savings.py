"""What freezing saves: the step with and without it, side by side under LiteRT."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.measure.alternation import Limit, Plan, in_turn, timed
from tfplus.measure.result import median_ms
from tfplus_export.costs import cost
from tfplus_export.costs.memory import RUNTIMES
from tfplus_export.costs.timed_step import runnable

# Of each of the two, in turn, after one that is not counted.
TIMED_STEPS = 3
_PLAN = Plan(blocks=TIMED_STEPS, each=Limit(1), warm_up=Limit(1))
_THREADS = 2


@dataclass(frozen=True)
class Cost:
    """What one training step costs.

    Attributes:
      flops: floating-point operations of its products.
      arena_bytes: memory for its activations.
      file_bytes: length of the graph with its constants.
      step_ms: median time of a step under LiteRT on this machine, milliseconds.
    """

    flops: int
    arena_bytes: int
    file_bytes: int
    step_ms: float


@dataclass(frozen=True)
class Savings:
    """A step that trains everything, and the step as it was asked for."""

    unfrozen: Cost
    frozen: Cost


def measure(unfrozen: bytes, frozen: bytes) -> Savings:
    """Compares two files of one model and one batch size.

    Args:
      unfrozen: the flatbuffer that trains everything.
      frozen: the flatbuffer that was asked for.
    """
    times = _times([unfrozen, frozen])
    costs = [
        Cost(
            flops=cost.product_flops(content, "train"),
            arena_bytes=cost.step_memory(content, 0).planned_bytes[RUNTIMES[0]],
            file_bytes=len(content),
            step_ms=ms,
        )
        for content, ms in zip([unfrozen, frozen], times, strict=True)
    ]
    return Savings(*costs)


def _times(contents: list[bytes]) -> list[float]:
    steps = {str(i): timed(runnable(content, _THREADS)) for i, content in enumerate(contents)}
    return [median_ms(blocks) for blocks in in_turn(steps, _PLAN).values()]
