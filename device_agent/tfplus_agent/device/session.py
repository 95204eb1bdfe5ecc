"""A loaded model at work: its worker, its checkpoints, and how many steps stand behind them.

In memory it is at its last checkpoint or ahead of it. After any failure of the worker it stands at
the last checkpoint again, in a fresh worker that the next use starts. Not thread-safe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TypeVar

from tfplus.errors import DataError, TensorError, WorkerError
from tfplus.model_file.manifest import Manifest
from tfplus.model_file.state_ranges import check_ranges
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors, check_against
from tfplus_agent.device.supervisor import AcceleratorLostError, Supervisor
from tfplus_agent.results import StepEvent
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore, StorageError
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.worker.client import EpochPlan, EpochResult, WorkerClient, WorkerSetup

_T = TypeVar("_T")


class Session:
    """One loaded model.

    Args:
      request: what LoadModel asked for.
      manifest: of the model.
      setup: what the worker loads.
      checkpoints: of the model.
      log_path: where the worker's error output goes.
      on_start: told, whenever a worker is to start, whether it did.

    Attributes:
      steps: that stand behind the weights.
      supervisor: of the worker; knows what it trains on, and what it found of the data.
    """

    def __init__(
        self,
        request: LoadedModel,
        manifest: Manifest,
        setup: WorkerSetup,
        checkpoints: CheckpointStore,
        log_path: Path,
        on_start: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.request = request
        self.manifest = manifest
        self._checkpoints = checkpoints
        self.supervisor = Supervisor(
            setup, log_path, on_start, may_leave_gpu=bool(manifest.accelerated)
        )
        # Whether the checkpoint holds weights that were set and that the worker was not given yet.
        self._behind = False
        checkpoint = checkpoints.load()
        self.steps = self._saved_steps = checkpoint.step if checkpoint else 0

    def worker(self) -> WorkerClient:
        """The worker, started and restored from the last checkpoint where none lives.

        Raises:
          TfplusError: the model or the data cannot be loaded.
          WorkerError: it cannot be started, or died with steps that no checkpoint holds.
        """
        worker = self.supervisor.worker
        if worker is not None and worker.alive:
            if self._behind:
                self._catch_up(worker)
            return worker
        if worker is not None and self.steps > self._saved_steps:
            # Nobody may take a fresh worker for the one that had learned more.
            lost = f"{self.steps - self._saved_steps} steps that no checkpoint holds are lost"
            raise self._failed(worker, WorkerError(f"{worker.how_it_died('idle')}; {lost}"))
        return self._begin(self._restored)

    def start_over(self) -> None:
        """Goes back to the weights in the file; on disk when this returns."""
        self._begin(lambda worker: self._save(Checkpoint(0, SliceSet(worker.save()))))

    def values(self) -> SliceSet:
        """Returns every variable, taken out of the worker."""
        return SliceSet(self._ask(lambda worker: worker.save()))

    def some(self, names: Sequence[str]) -> SliceSet:
        """Returns some variables, with the hash of each where it is known.

        Weights that are those of the last checkpoint are read from its file: the worker would take
        them out of the interpreter and send them over a pipe.
        """
        at_rest = self.steps == self._saved_steps
        if at_rest and (found := self._checkpoints.again(names)) is not None:
            return found
        return self.values().only(names)

    def set_values(self, tensors: Tensors, steps: int | None) -> None:
        """Sets some or all variables; on disk when this returns, in the worker at its next use.

        Args:
          tensors: name → array.
          steps: that stand behind them; None for as many as before.

        Raises:
          TensorError: a name, shape or dtype that the model does not have, NaN, or a value that
            such a variable cannot have, see `tfplus.model_file.state_ranges`.
          StorageError: the disk is full; nothing was set.
        """
        if not tensors:
            raise TensorError("no tensors came: expected at least one of the model's")
        expected = self.manifest.expected()
        check_against(tensors, {n: e for n, e in expected.items() if n in tensors})
        check_ranges(tensors, self.manifest.variables)
        rest = self.some([name for name in expected if name not in tensors])
        if rest.damaged():
            # The file was damaged behind our back.
            rest = self.values().only(rest)
        whole = SliceSet.of(tensors).joined(rest).only(expected)
        self._save(Checkpoint(self.steps if steps is None else steps, whole))
        self._behind = True

    def train_epoch(
        self,
        plan: EpochPlan,
        on_step: Callable[[StepEvent], None] | None,
        cancelled: Callable[[], bool],
    ) -> EpochResult:
        """Trains one epoch, or a piece of it, in memory; `checkpoint` makes it last.

        Raises:
          AcceleratorLostError: the GPU failed; the model is at its last checkpoint.
          DataError: the training diverged.
        """
        reached = plan.first_step

        def report(event: StepEvent) -> None:
            nonlocal reached
            reached = event.step
            if on_step is not None:
                on_step(event)

        try:
            result = self._ask_once(lambda worker: worker.train(plan, report, cancelled))
        except AcceleratorLostError as error:
            raise AcceleratorLostError(str(error), reached) from None
        self.steps += len(result.step_ms)
        return result

    def evaluate(self) -> tuple[int, int, dict[str, float]]:
        """Returns samples, samples of known classes, and the sum of each metric over all."""
        found = self._ask(lambda worker: worker.evaluate())
        return found.samples, found.known_samples, found.sums

    def checkpoint(self) -> None:
        """Writes what was learned to disk.

        Raises:
          StorageError: the disk is full; it stays in memory.
          DataError: a weight is not finite; the last checkpoint holds again.
        """
        with self._unless_diverged():
            self._save(Checkpoint(self.steps, self.values()))

    def take(self) -> Checkpoint:
        """Takes out all that was learned; writes nothing.

        Raises:
          DataError: a weight is not finite; the last checkpoint holds again.
        """
        with self._unless_diverged():
            values = self.values()
            check_against(values, self.manifest.expected())
            return Checkpoint(self.steps, values)

    def commit(self, state: Checkpoint, keep: Callable[[Path], None]) -> None:
        """Makes `state` what the model stands at; on disk when this returns, in a single file.

        The worker takes it up at once, from memory. Whether it lives does not matter: a fresh one
        starts from the file.

        Args:
          state: every variable, and the steps behind them.
          keep: called with the file once it is on disk.

        Raises:
          StorageError: the disk is full. Where `keep` says so, the state stands nevertheless.
        """
        path = self._save(state)
        self._behind = True
        keep(path)
        worker = self.supervisor.worker
        if worker is None or not worker.alive:
            return
        try:
            worker.restore(state.tensors)
        except WorkerError as error:
            self._failed(worker, error)
        except BaseException:
            self.close()
            raise
        else:
            self._behind = False

    def settled(self) -> Path:
        """The file that holds all that was learned; written first where there is none."""
        path = self._checkpoints.newest() if self.steps == self._saved_steps else None
        return path or self._save(self.take())

    def keep(self, what: str) -> None:
        """Writes steps that are in memory alone, if there are any, before they would be dropped.

        Args:
          what: cannot go on if they cannot be written, for the message.

        Raises:
          StorageError: the disk is full; they stay in memory.
          DataError: they diverged; the last checkpoint holds again.
          WorkerError: they are lost, since the worker died.
        """
        ahead = self.steps - self._saved_steps
        if ahead <= 0:
            return
        try:
            self.checkpoint()
        except StorageError as error:
            raise StorageError(
                f"{what}: {ahead} steps of training are in memory alone and would be lost: {error}"
            ) from None

    def close(self) -> None:
        """Ends the worker and goes back to the last checkpoint; what is not on disk is gone."""
        self.steps, self._behind = self._saved_steps, False
        self.supervisor.close()

    @contextlib.contextmanager
    def _unless_diverged(self) -> Generator[None]:
        """Makes what is wrong with tensors of the worker's the fault of the training."""
        try:
            yield
        except TensorError as error:
            self.close()
            text = (
                f"training diverged: {error}; the weights are put back to the last checkpoint: "
                "scale the data, or set a smaller learning rate"
            )
            raise DataError("; ".join((text, *self.supervisor.misfits))) from None

    def _save(self, checkpoint: Checkpoint) -> Path:
        path = self._checkpoints.save(checkpoint)
        self.steps = self._saved_steps = checkpoint.step
        return path

    def _catch_up(self, worker: WorkerClient) -> None:
        try:
            self._restored(worker)
        except WorkerError as error:
            raise self._failed(worker, error) from None
        except BaseException:
            self.close()
            raise

    def _restored(self, worker: WorkerClient) -> None:
        checkpoint = self._checkpoints.load()
        if checkpoint is not None:
            worker.restore(checkpoint.tensors)
        self.steps = self._saved_steps = checkpoint.step if checkpoint else 0
        self._behind = False

    def _ask(self, ask: Callable[[WorkerClient], _T]) -> _T:
        nothing_to_lose = self.steps == self._saved_steps
        try:
            return self._ask_once(ask)
        except AcceleratorLostError:
            if not nothing_to_lose:
                raise
        return self._ask_once(ask)

    def _ask_once(self, ask: Callable[[WorkerClient], _T]) -> _T:
        worker = self.worker()
        try:
            return ask(worker)
        except WorkerError as error:
            raise self._failed(worker, error) from None
        except BaseException:
            self.close()
            raise

    def _begin(self, begin: Callable[[WorkerClient], object]) -> WorkerClient:
        self.close()
        return self.supervisor.start(begin)

    def _failed(self, worker: WorkerClient, error: WorkerError) -> WorkerError:
        """Goes back to the last checkpoint; returns what to raise."""
        self.close()
        return self.supervisor.failed(worker, error)
