"""A loaded model at work: its worker, its checkpoints, and how many steps stand behind them.

In memory it is at its last checkpoint or ahead of it. After any failure of the worker it stands at
the last checkpoint again, in a fresh worker that the next use starts. Not thread-safe.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tfplus.errors import DataError, TensorError, WorkerError
from tfplus.model_file.manifest import Manifest
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import check_against
from tfplus.training.evaluation import Evaluation
from tfplus_agent.device.reading import Source, WeightsReading, WeightsToSend
from tfplus_agent.device.supervisor import AcceleratorLostError, Supervisor
from tfplus_agent.results import StepEvent
from tfplus_agent.storage.checkpoint_draft import CheckpointDraft, StorageError
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.epoch_position import EpochPosition
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
      position: of the last checkpoint, in an epoch of samples that come and go.
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
        self.position = checkpoint.position if checkpoint else None

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
        return SliceSet(self.ask(lambda worker: worker.save()))

    def read(self, names: Sequence[str]) -> WeightsReading:
        """Reads some variables: from the last checkpoint where they are its own."""
        found = self._checkpoints.again(names) if self.steps == self._saved_steps else None
        source: Source = "worker" if found is None else "checkpoint"
        return WeightsReading(found or self.values().only(names), self.steps, source)

    def to_send(self, names: Sequence[str]) -> WeightsToSend:
        """Does what `read` does; of a checkpoint, nothing is read yet."""
        found = self._checkpoints.stored(names) if self.steps == self._saved_steps else None
        source: Source = "worker" if found is None else "checkpoint"
        return WeightsToSend(found or self.values().only(names), self.steps, source)

    def draft(self) -> CheckpointDraft:
        """What weights from outside are written to; see `adopt`."""
        return self._checkpoints.draft()

    def adopt(self, draft: CheckpointDraft, hashes: Mapping[str, bytes], steps: int | None) -> None:
        """Makes a draft what the model stands at; on disk when this returns.

        The worker gets it at its next use. All of it was written, and may be set.

        Args:
          draft: of this session.
          hashes: name → SHA-256 of every variable.
          steps: that stand behind them; None for as many as before.

        Raises:
          StorageError: the disk is full; nothing was set.
        """
        step = self.steps if steps is None else steps
        self._checkpoints.finish(draft, step, hashes)
        self.steps, self._saved_steps, self.position = step, step, None
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

    def evaluate(self) -> Evaluation:
        """Measures the model on the evaluation data."""
        return self.ask(lambda worker: worker.evaluate())

    def ask(self, ask: Callable[[WorkerClient], _T]) -> _T:
        """Asks the worker; once more, on the CPU, where the GPU failed in it."""
        nothing_to_lose = self.steps == self._saved_steps
        try:
            return self._ask_once(ask)
        except AcceleratorLostError:
            if not nothing_to_lose:
                raise
        return self._ask_once(ask)

    def checkpoint(self, position: EpochPosition | None = None) -> None:
        """Writes what was learned to disk, and where in an epoch it is.

        Raises:
          StorageError: the disk is full; it stays in memory.
          DataError: a weight is not finite; the last checkpoint holds again.
        """
        with self._unless_diverged():
            self._save(Checkpoint(self.steps, self.values(), position))

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

        A worker that lives takes it up at once, from memory; a fresh one starts from the file.

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
            self._behind = False
        except WorkerError as error:
            self._failed(worker, error)
        except BaseException:
            self.close()
            raise

    def settled(self) -> Path:
        """The file that holds all that was learned; written first where there is none."""
        path = self._checkpoints.newest() if self.steps == self._saved_steps else None
        return path or self._save(self.take())

    def keep(self, what: str) -> None:
        """Writes steps in memory alone before they would be dropped; `what` would drop them.

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
            alone = f"{what}: {ahead} steps of training are in memory alone and would be lost"
            raise StorageError(f"{alone}: {error}") from None

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
        self.position = checkpoint.position
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
        self.position = checkpoint.position if checkpoint else None
        self._behind = False

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
