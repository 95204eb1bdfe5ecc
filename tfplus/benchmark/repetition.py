"""What one repetition is asked to do, and what it answers: data alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tfplus.benchmark import warm_up
from tfplus.measure.result import Block, Scalar

TIMING, ENERGY, OPERATIONS, INTERFERENCE = "timing", "energy", "operations", "interference"
LEARNING = "learning"
KINDS = (TIMING, ENERGY, OPERATIONS, INTERFERENCE, LEARNING)
FOREGROUND, BACKGROUND = "foreground", "background"
PRIORITIES = (FOREGROUND, BACKGROUND)
# Where no source of energy was read twice: the reason stands under this name.
ABSENT_ENERGY = "energy_joules"
GATE_TIMED_OUT = "gate_timed_out"
GATE_WAIT = "gate_wait_s"


@dataclass(frozen=True)
class Gates:
    """Conditions that a repetition waits for; None where nothing is waited for.

    Attributes:
      min_battery_percent: below it, unless the device is plugged in.
      max_celsius: of any thermal zone.
      not_throttled: while the firmware slows the device down.
      max_load: of other programs, in cores.
      timeout_s: after so long the repetition runs nevertheless, and its number does not count.
    """

    min_battery_percent: float | None = None
    max_celsius: float | None = None
    not_throttled: bool = False
    max_load: float | None = None
    timeout_s: float = 300.0


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
      path: of the exported file, on the machine that measures.
      phase: `train` or `infer`.
      threads: of the runtime.
      iterations: warm-up included.
      seconds: none begins later than this; 0 for no such limit.
      kind: one of `KINDS`.
      accelerator: `cpu` or `gpu`.
      priority: one of `PRIORITIES`.
      co_runner: what runs beside it; empty for nothing.
      idle_s: of an energy pass, how long the idle device is read before.
      gates: what is waited for.
      data: samples that a learning pass trains on, on the machine that measures.
      eval_data: samples that it is judged by.
    """

    path: str
    phase: str
    threads: int
    iterations: int
    seconds: float = 0.0
    kind: str = TIMING
    accelerator: str = "cpu"
    priority: str = FOREGROUND
    co_runner: str = ""
    idle_s: float = 5.0
    gates: Gates = field(default_factory=Gates)
    data: str = ""
    eval_data: str = ""


@dataclass(frozen=True)
class Operation:
    """What an operation of the graph took of a step.

    Attributes:
      operation: TFLite's name of it.
      layer: path of the Keras layer; empty where it belongs to none.
      phase: forward, loss, backward or update; empty where it belongs to none.
      ms: mean over the steps, milliseconds.
    """

    operation: str
    layer: str
    phase: str
    ms: float


@dataclass(frozen=True)
class Answer:
    """What one process measured.

    Attributes:
      runtime: name and version.
      iteration_ms: all of them, in the order of time.
      values: what else was read, with the unit in the name.
      absent: name of a value → why there is none.
      operations: of an operations pass, in the graph's order.
      model_sha256: of the file that the process has read; empty where it does not say.
    """

    runtime: str
    iteration_ms: tuple[float, ...]
    values: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    absent: Mapping[str, str] = field(default_factory=dict[str, str])
    operations: tuple[Operation, ...] = ()
    model_sha256: str = ""

    def blocks(self, number: int, place: int) -> tuple[Block, ...]:
        """The iterations, warm-up labelled."""
        end = warm_up.length(self.iteration_ms)
        parts = ((True, self.iteration_ms[:end]), (False, self.iteration_ms[end:]))
        return tuple(Block(number, place, is_warm, times) for is_warm, times in parts if times)


Measure = Callable[[Request, float], Answer]
"""(request, seconds at most) → what came; raises WorkerError where nothing did."""

Told = Callable[[Sequence[float]], object]
"""Is given the times of iterations as they come, milliseconds."""
