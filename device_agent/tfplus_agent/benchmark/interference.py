"""The pass with a co-runner: what training does to another program, and that to the training.

Blocks in turn: the other program alone, both together, the training alone. What is compared is of
one repetition, so that the machine's mood is the same for both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from tfplus.benchmark import messages
from tfplus.benchmark.repetition import Answer
from tfplus.errors import WorkerError
from tfplus.measure.result import Scalar
from tfplus.system import child_process
from tfplus_agent.benchmark import co_runners, response, stress_ng
from tfplus_agent.benchmark.opened import Opened

PAIRS = 4
_BLOCK_S = 1.0


class CoRunner(Protocol):
    """A program that works from `go` to `stop`."""

    def go(self) -> None:
        """Begins."""
        ...

    def stop(self) -> Mapping[str, Any]:
        """Ends a block: `units` of work, `seconds` that it took; of frames their `lateness_ms`."""
        ...


class BuiltIn(AbstractContextManager["BuiltIn"]):
    """One of `co_runners`, in a process of its own.

    Raises:
      WorkerError: it does not start, or died.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process = subprocess.Popen(
            child_process.command("tfplus_agent.benchmark.co_runners", name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready":
            raise self._died()

    def go(self) -> None:
        """See `CoRunner`."""
        self._say("go")

    def stop(self) -> Mapping[str, Any]:
        """See `CoRunner`."""
        self._say("stop")
        told = self._line()
        if not told:
            raise self._died()
        return json.loads(told)

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _say(self, line: str) -> None:
        pipe: Any = self._process.stdin
        try:
            pipe.write(f"{line}\n")
            pipe.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _line(self) -> str:
        pipe: Any = self._process.stdout
        return pipe.readline().strip()

    def _died(self) -> WorkerError:
        _, said = self._process.communicate()
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        how = child_process.how_it_ended(self._process.returncode)
        return WorkerError(f"the co-runner {self._name} {how}: {last[0]}")


def run(opened: Opened) -> Answer:
    """Takes all blocks beside the co-runner that is asked for.

    Raises:
      WorkerError: there is no such co-runner, or it died.
    """
    request = opened.request
    warm = opened.timed(1)
    with _started(request.co_runner) as other:
        blocks = in_turn(opened, other, time.sleep)
    return Answer(
        opened.runtime, (*warm, *(t for b in blocks.together for t in b)), summary(blocks)
    )


class Blocks:
    """What the blocks gave.

    Attributes:
      alone: of the other program, without training.
      beside: of the other program, during training.
      together: times of the training beside the other program, milliseconds, a list a block.
      training: times of the training alone.
    """

    def __init__(self) -> None:
        self.alone: list[Mapping[str, Any]] = []
        self.beside: list[Mapping[str, Any]] = []
        self.together: list[Sequence[float]] = []
        self.training: list[Sequence[float]] = []


def in_turn(opened: Opened, other: CoRunner, sleep: Callable[[float], None]) -> Blocks:
    """Takes `PAIRS` blocks of each kind; the order turns from pair to pair."""
    request, found = opened.request, Blocks()
    # A block lasts as long for either: what a number of steps takes, the training itself decides.
    seconds = request.seconds / (3 * PAIRS) if request.seconds else _BLOCK_S
    each = messages.MOST_ITERATIONS // PAIRS - 1

    def alone() -> None:
        other.go()
        sleep(seconds)
        found.alone.append(other.stop())

    def together() -> None:
        other.go()
        found.together.append(opened.timed(each, seconds))
        found.beside.append(other.stop())

    def training() -> None:
        # Not told: the iterations of a repetition are those beside the co-runner.
        told, opened.told = opened.told, _nobody
        try:
            found.training.append(opened.timed(each, seconds))
        finally:
            opened.told = told

    kinds = (alone, together, training)
    for pair in range(PAIRS):
        for place in range(len(kinds)):
            kinds[(pair + place) % len(kinds)]()
    return found


def summary(of: Blocks) -> Mapping[str, Scalar]:
    """Rates and their ratio, the training's times and theirs; of a response probe its lateness."""
    alone, beside = _rate(of.alone), _rate(of.beside)
    on = statistics.median(t for block in of.together for t in block)
    off = statistics.median(t for block in of.training for t in block)
    values: dict[str, Scalar] = {
        "co_runner_alone_per_s": alone,
        "co_runner_beside_per_s": beside,
        "co_runner_slowdown_ratio": alone / beside if beside else None,
        "step_alone_ms": off,
        "step_beside_ms": on,
        "step_slowdown_ratio": on / off,
    }
    for name, blocks in (("alone", of.alone), ("beside", of.beside)):
        late = [ms for block in blocks for ms in block.get("lateness_ms", ())]
        if late:
            values[f"{name}_lateness_p99_ms"] = float(np.percentile(late, 99))
            values[f"{name}_lateness_median_ms"] = float(np.median(late))
            missed = sum(ms > response.FRAME_S * 1e3 for ms in late)
            values[f"{name}_missed_frames_share"] = missed / len(late)
    return values


def _rate(blocks: Sequence[Mapping[str, Any]]) -> float:
    return sum(b["units"] for b in blocks) / max(1e-9, sum(b["seconds"] for b in blocks))


def _nobody(times: Sequence[float]) -> None:
    pass


def _started(name: str) -> Any:
    if name.startswith(stress_ng.PREFIX):
        return stress_ng.StressNg(name.removeprefix(stress_ng.PREFIX))
    if name not in co_runners.NAMES:
        known = ", ".join((*co_runners.NAMES, f"{stress_ng.PREFIX}STRESSOR"))
        raise WorkerError(f"co-runner '{name}': expected one of {known}")
    return BuiltIn(name)
