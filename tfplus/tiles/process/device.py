"""One device of a run: a file of tiles, the step under way, and what is applied.

Calls come from any thread. Only `step` computes; what other devices deliver waits for it, but for
parts of sums, which are added up by who brings them while it computes. A step that was computed is
applied by `commit` alone, which the leader calls once all devices have come so far: a device that
fails before leaves every other one at the last whole step.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tfplus.errors import BusyError, StepError, TfplusError, UsageError
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.tiles.process.stopwatch import Timed
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.step.compute import Compute
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.messages import Gradients, Key, Message, Send
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.results import StepResult

_MOST_WAITING = 10_000
_SAMPLES = "x"


class Model(Compute, Protocol):
    """What a device computes with, such as `tile_model.TileModel`."""

    def update(self, gradients: Gradients, moments: Mapping[str, Moments]) -> None:
        """Applies the optimizer, and moves the averages of batch normalizations."""
        ...

    def save(self) -> dict[str, Tensor]:
        """A copy of every variable."""
        ...

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable."""
        ...


class Sender(Protocol):
    """What brings messages to other devices, such as `outbox.Outbox`."""

    def put(self, sends: Sequence[Send]) -> None:
        """Takes messages, from any thread; returns at once."""
        ...

    def close(self) -> None:
        """Ends all sending."""
        ...


@dataclass
class _Run:
    assignment: Assignment
    model: Model
    sender: Sender
    # The newest step that was begun or discarded, and whether the former.
    newest: int = 0
    busy: bool = False
    discarded: int = 0
    ready: tuple[int, Gradients, Mapping[str, Moments]] | None = None
    committed: int = 0
    waiting: deque[Message] = field(default_factory=deque)
    # The step under way, what it sent, and why a sum of it cannot go on.
    step: TileStep | None = None
    sent_bytes: int = 0
    failure: TfplusError | None = None


class TileDevice:
    """See the module.

    Args:
      open_model: opens a file of tiles.
      open_sender: connects to the other devices of a run.
    """

    def __init__(
        self,
        open_model: Callable[[bytes, Assignment], Model],
        open_sender: Callable[[Assignment], Sender],
    ) -> None:
        self._open_model, self._open_sender = open_model, open_sender
        self._changed = threading.Condition()
        self._run: _Run | None = None

    def load(self, assignment: Assignment, content: bytes) -> None:
        """Takes a part of a plan; what was loaded before is dropped.

        Raises:
          ArtifactError: the runtime does not take the file, or it is of other tiles.
          BusyError: a step is under way.
        """
        with self._changed:
            if self._run is not None and self._run.busy:
                raise BusyError("a step is under way: discard it first")
            old, self._run = self._run, None
        if old is not None:
            old.sender.close()
        model = self._open_model(content, assignment)
        with self._changed:
            self._run = _Run(assignment, model, self._open_sender(assignment))

    def deliver(self, run_id: str, message: Message) -> None:
        """Takes what another device sent; of another run or an older step it is dropped.

        Raises:
          StepError: too much is waiting.
        """
        with self._changed:
            run = self._run
            if run is None or run.assignment.run_id != run_id or message.step <= run.discarded:
                return
            step = run.step
            if step is None or step.step != message.step or message.key.kind != "sum":
                if len(run.waiting) >= _MOST_WAITING:
                    raise StepError(f"{_MOST_WAITING} messages wait for a step: it never began")
                run.waiting.append(message)
                self._changed.notify_all()
                return
        self._add_up(run, step, message)

    def step(self, run_id: str, number: int, given: Tensors, timeout_s: float) -> StepResult:
        """Computes a step up to the sum of all gradients.

        Args:
          run_id: of the run.
          number: of the attempt; higher than all before.
          given: the samples of the tile as `x`, and targets where this device computes the tail.
          timeout_s: after which it is given up.

        Raises:
          BusyError: another step is under way.
          StepError: it was discarded, another device does not answer, or sent what is not right.
          TensorError: samples or targets are not of the shapes that the plan says.
        """
        run = self._begin(run_id, number)
        try:
            return self._compute(run, number, given, time.monotonic() + timeout_s)
        finally:
            with self._changed:
                run.busy, run.step, run.failure = False, None, None
                run.waiting = deque(m for m in run.waiting if m.step > number)
                self._changed.notify_all()

    def commit(self, run_id: str, number: int) -> None:
        """Applies the step that was computed; a second time does nothing.

        Raises:
          StepError: no such step was computed, or it was discarded.
        """
        with self._changed:
            run = self._of(run_id)
            if number == run.committed:
                return
            if run.ready is None or run.ready[0] != number:
                raise StepError(f"step {number} was not computed here, or was discarded")
            run.model.update(*run.ready[1:])
            run.ready, run.committed = None, number

    def discard(self, run_id: str, number: int) -> None:
        """Forgets a step, and all before it that were not applied; waits until it has ended."""
        with self._changed:
            run = self._of(run_id)
            run.discarded = max(run.discarded, number)
            run.ready = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not run.busy)

    def state(self, run_id: str) -> dict[str, Tensor]:
        """Every variable, as the last applied step left it."""
        with self._changed:
            return self._idle(run_id).model.save()

    def set_state(self, run_id: str, tensors: Tensors) -> None:
        """Sets every variable.

        Raises:
          TensorError: they are not the file's.
        """
        with self._changed:
            self._idle(run_id).model.restore(tensors)

    def close(self) -> None:
        """Ends all sending."""
        with self._changed:
            run, self._run = self._run, None
        if run is not None:
            run.sender.close()

    def _begin(self, run_id: str, number: int) -> _Run:
        with self._changed:
            run = self._idle(run_id)
            if number <= max(run.newest, run.discarded):
                raise UsageError(f"step {number}: expected a number above {run.newest}")
            if run.ready is not None:
                raise BusyError(f"step {run.ready[0]} waits to be applied or discarded")
            run.newest, run.busy = number, True
            return run

    def _compute(self, run: _Run, number: int, given: Tensors, until: float) -> StepResult:
        place = run.assignment.place
        targets = {name: t for name, t in given.items() if name != _SAMPLES}
        run.assignment.check_targets(targets)
        timed = Timed(run.model)
        step, result = TileStep(place, timed, number), StepResult()
        if _SAMPLES not in given or given[_SAMPLES].dtype != np.float32:
            raise UsageError("a step: expected the samples of the tile as x, float32")
        step.begin(given[_SAMPLES].astype(np.float32, copy=False), targets)
        with self._changed:
            run.step, run.sent_bytes = step, 0
        while True:
            while sends := step.advance():
                self._send(run, sends)
            if step.done:
                break
            # None: a sum that was waited for went on without this thread, or is there.
            if (awaited := next(iter(step.awaits), None)) is None:
                continue
            with timed.span(f"wait for {awaited.kind} {awaited.number + 1}"):
                message = self._next(run, step, awaited, until)
            waited = timed.spans[-1].seconds
            if awaited.kind == "sum":
                result.reduce_s += waited
            else:
                result.halo_s += waited
            if message is not None:
                step.receive(message)
        result.metrics, result.compute_s, result.spans = step.metrics, timed.seconds, timed.spans
        with self._changed:
            if number <= run.discarded:
                raise StepError(f"step {number} was discarded")
            run.ready, result.sent_bytes = (
                (number, step.gradients or {}, step.moments),
                run.sent_bytes,
            )
        return result

    def _next(self, run: _Run, step: TileStep, awaited: Key, until: float) -> Message | None:
        """The next message of a step; None once what is awaited came by another way."""
        number = step.step
        with self._changed:
            while True:
                if number <= run.discarded:
                    raise StepError(f"step {number} was discarded")
                if run.failure is not None:
                    raise run.failure
                while run.waiting:
                    message = run.waiting.popleft()
                    # What belongs to a step that was given up is of no use any more.
                    if message.step == number:
                        return message
                if awaited not in step.awaits:
                    return None
                rest = until - time.monotonic()
                if rest <= 0:
                    raise StepError(f"step {number}: other devices did not answer in time")
                self._changed.wait(rest)

    def _add_up(self, run: _Run, step: TileStep, message: Message) -> None:
        """Takes a part of a sum while the step may be computing."""
        failure: TfplusError | None = None
        try:
            self._send(run, step.receive_sum(message))
        except TfplusError as error:
            # The step tells its leader; this stream may bring what other steps need.
            failure = error
        with self._changed:
            run.failure = run.failure or failure
            self._changed.notify_all()

    def _send(self, run: _Run, sends: Sequence[Send]) -> None:
        with self._changed:
            run.sent_bytes += sum(send.message.values.nbytes for send in sends)
        run.sender.put(sends)

    def _of(self, run_id: str) -> _Run:
        if self._run is None or self._run.assignment.run_id != run_id:
            raise StepError("no such run here: load its plan first")
        return self._run

    def _idle(self, run_id: str) -> _Run:
        run = self._of(run_id)
        if run.busy:
            raise BusyError("a step is under way")
        return run
