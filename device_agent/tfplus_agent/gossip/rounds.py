"""What a gossip run does on its device: trains a round, and commits its average once.

The state leaves the worker once a round, after training. It waits here for the average, which takes
the place of its weights, and is then written to one file; the optimizer's state and the count of
steps go along, so that a run that is cut off goes on as if it had not been.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tfplus.errors import TfplusError, WorkerError
from tfplus.gossip.messages import RoundDone
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import check_held
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.kind import MAX_RESTARTS
from tfplus_agent.results import EvaluateResult, TrainSummary
from tfplus_agent.storage.checkpoints import Checkpoint
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

_LOG = logging.getLogger(__name__)


class CancelledRunError(Exception):
    """The run was stopped in the middle of something."""


class Rounds:
    """The rounds of one run on its device. For the thread of the run alone.

    Args:
      device: trains.
      journal: of the run.
      cancelled: set when the run is stopped.

    Attributes:
      expected: name → (shape, dtype) of the slices that the device exchanges.
      steps: all steps of the model that stand behind the last round that is done.
    """

    def __init__(self, device: Device, journal: RunJournal, cancelled: threading.Event) -> None:
        self.expected = device.manifest.expected(weights_only=True)
        self._device = device
        self._journal = journal
        self._cancelled = cancelled
        self._trained: Checkpoint | None = None
        self.steps = 0

    @property
    def slice_weights(self) -> dict[str, float]:
        """What each slice of the device weighs."""
        return slice_weights(self.expected, self._device.train_samples)

    def train(
        self,
        round: int,
        on_death: Callable[[str], object] = lambda _: None,
        hooks: TrainHooks = NO_HOOKS,
    ) -> tuple[TrainSummary, SliceSet]:
        """Trains a round; returns what came of it, and the slices to bring to neighbours.

        A worker that dies costs the round's steps: they are taken again from where the round
        began, so that neighbours get the same bits as if it had lived.

        Args:
          round: which.
          on_death: told how a worker died, before the round is trained again.
          hooks: told of what training does.

        Raises:
          CancelledRunError: the run was stopped; what was learned is on disk.
          TfplusError: the training failed, or the worker died too often.
        """
        deaths: list[str] = []
        while True:
            try:
                summary, state = self._train(round, hooks)
                break
            except WorkerError as error:
                if self._cancelled.is_set() or len(deaths) == MAX_RESTARTS:
                    raise
                deaths.append(f"round {round} was trained again: {error}")
                _LOG.warning("gossip run '%s': %s", self._journal.plan.run_id, deaths[-1])
                on_death(str(error))
                self._back_to_its_beginning()
        if state is None:
            raise CancelledRunError
        check_held(state.tensors, self.expected)
        self._trained = state
        warned = replace(summary, warnings=(*summary.warnings, *deaths)) if deaths else summary
        return warned, state.tensors.only(self.expected)

    def commit(self, done: RoundDone) -> EvaluateResult | None:
        """Takes the average of a round over, in one file; returns what the evaluation says of it.

        The round is done when its event is in the journal, which is left to the caller.

        Raises:
          StorageError: the disk is full.
          TfplusError: the evaluation failed.
        """
        trained, self._trained = self._trained, None
        if trained is None:
            raise RuntimeError(f"round {done.round} has an average, and was not trained")
        mixed = Checkpoint(trained.step, trained.tensors.replaced(done.tensors))
        keep = self._journal.keeper(done.round)
        self._device.commit(mixed, keep)
        self.steps = mixed.step
        return self.evaluate(done.round)

    def evaluate(self, round: int) -> EvaluateResult | None:
        """What the evaluation says of the weights, behind a round."""
        try:
            return self._device.evaluate()
        except WorkerError as error:
            # The weights are on disk; another worker takes them from there.
            _LOG.warning("evaluating after round %d once more: %s", round, error)
            return self._device.evaluate()

    def _train(self, round: int, hooks: TrainHooks) -> tuple[TrainSummary, Checkpoint | None]:
        plan = self._journal.plan
        return self._device.train_round(
            plan.epochs_per_round,
            round_seed(plan.seed, round),
            cancelled=self._cancelled.is_set,
            hooks=hooks,
        )

    def _back_to_its_beginning(self) -> None:
        device = self._device
        tensors, step = self._journal.resume_state(device.manifest, device.model_sha256)
        device.set_weights(tensors, step=step)

    def close(self) -> None:
        """Brings to disk what was learned in a round that has no average; never raises."""
        trained, self._trained = self._trained, None
        if trained is None:
            return
        try:
            self._device.commit(trained, lambda _: None)
        except TfplusError as error:
            _LOG.warning("the round that was cut off stays in memory: %s", error)


def round_seed(seed: int, round: int) -> int:
    """The seed that shuffles the samples of one round."""
    return (seed * 1_000_003 + round) % 2**63
