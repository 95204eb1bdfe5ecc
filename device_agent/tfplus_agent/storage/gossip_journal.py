"""What a gossip run leaves on the device's disk, so that it can be gone on with after a crash.

    gossip/<run id>/plan.json       what the agent was told, and for which model
    gossip/<run id>/events.jsonl    one line for every round that is done, and for the end
    gossip/<run id>/round-0007.safetensors

The file of a round is that of the checkpoint under a second name: a state is written once. A round
is committed in this order, and each step is synced before the next one begins:

    1. checkpoint   written aside, renamed; the oldest is removed
    2. round file   linked to it aside, renamed
    3. line         appended to the events; with it the round is done
    4. earlier round files removed, unless the plan keeps them

Cut off before 3, the run goes on from the file of the round before, which nothing has touched: it
is a name of its own. A last line that is torn is as good as not written. See also `gossip_runs`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from tfplus.errors import DamagedFileError, DataError, UsageError
from tfplus.model_file.manifest import Manifest
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system.aside import sync_directory
from tfplus.system.files import link_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import check_against, is_slice
from tfplus_agent.storage import state_files
from tfplus_agent.storage.gossip_files import (
    append_event,
    full,
    has_finished,
    read_events,
    read_plan,
    read_round,
    without_addresses,
    write_plan,
)
from tfplus_agent.storage.run_ids import valid_run_id

_LOG = logging.getLogger(__name__)
Keep = Callable[[Path], None]
_LINE_LOST = "its line in the journal was damaged; what it said is lost, its weights are not"


class RunJournal:
    """One run on disk.

    Attributes:
      plan: what the agent was told.
      events: rounds done, in order, and the end if the run has finished.

    Args:
      directory: of this run; it exists.
      plan: what the agent was told.
      architecture_hash: of the model that the run is about.
      events: what was read back.
    """

    def __init__(
        self,
        directory: Path,
        plan: pb.GossipPlan,
        architecture_hash: str,
        events: Iterable[pb.GossipEvent] = (),
    ) -> None:
        self.plan = plan
        self.events = list(events)
        self._directory = directory
        self._architecture_hash = architecture_hash

    @classmethod
    def create(
        cls,
        root: Path,
        plan: pb.GossipPlan,
        manifest: Manifest,
        settle: Callable[[Keep], None],
        model_sha256: str = "",
    ) -> RunJournal:
        """Begins a run.

        Args:
          root: directory of all runs.
          plan: what the agent was told.
          manifest: of the model.
          settle: calls what it is given with the file of the state that the run starts from.
          model_sha256: address of the model, whose checkpoints the run needs to go on.

        Raises:
          StorageError: the disk is full.
        """
        directory = root / valid_run_id(plan.run_id)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Left by a run that never began: without a plan nothing of it counts.
            for left in directory.iterdir():
                left.unlink()
            journal = cls(directory, plan, manifest.architecture_hash)
            settle(journal.keeper(0))
            write_plan(directory, plan, manifest.architecture_hash, model_sha256)
            sync_directory(root)
        except OSError as error:
            raise full(directory, error) from None
        return journal

    @classmethod
    def read(cls, root: Path, run_id: str, *, mend: bool = True) -> RunJournal | None:
        """Reads a run back; None where there is none.

        Args:
          root: directory of all runs.
          run_id: which.
          mend: set damaged events aside; not where a run may be writing some.

        Raises:
          DataError: its plan is damaged.
        """
        directory = root / valid_run_id(run_id)
        try:
            plan, architecture_hash, _ = read_plan(directory)
            events = read_events(directory, mend=mend)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            raise DataError(f"{error}: start a run with another id") from None
        except OSError as error:
            raise DataError(f"{directory}: the run cannot be read: {error.strerror}") from None
        journal = cls(directory, plan, architecture_hash, events)
        journal._take_what_was_done()
        return journal

    def go_on(self, plan: pb.GossipPlan) -> None:
        """Takes the neighbours' newest addresses.

        Args:
          plan: checked by `check_resumable`.

        Raises:
          StorageError: the disk is full.
        """
        try:
            if plan != self.plan:
                _, architecture_hash, model = read_plan(self._directory)
                write_plan(self._directory, plan, architecture_hash, model)
        except OSError as error:
            raise full(self._directory, error) from None
        self.plan = plan

    @property
    def last_done(self) -> int:
        """The last round that is done, here or by those whose weights were taken over; 0: none."""
        joined = (e.round for e in self.events if e.state == pb.GossipEvent.JOINED)
        return max(self.last_averaged, *joined, 0)

    @property
    def last_averaged(self) -> int:
        """The last round that is done here; 0 for none."""
        done = (e.round for e in self.events if e.state == pb.GossipEvent.ROUND_DONE)
        return max(done, default=0)

    @property
    def joined(self) -> bool:
        """Whether the run was joined when it was under way, and others' weights taken over."""
        return any(e.state == pb.GossipEvent.JOINED for e in self.events)

    @property
    def counted(self) -> dict[str, int]:
        """Neighbour → the newest round of its that went into an average here."""
        found: dict[str, int] = {}
        for event in self.events:
            for one in event.counted:
                found[one.peer] = max(found.get(one.peer, 0), one.round)
        return found

    @property
    def finished(self) -> bool:
        """Whether the last round is done and told to all."""
        return has_finished(self.events)

    def check_resumable(self, plan: pb.GossipPlan, manifest: Manifest) -> None:
        """Checks that `plan` goes on with this run; neighbours may have new addresses.

        Raises:
          UsageError: it is another plan, or another model is loaded.
        """
        if without_addresses(plan) != without_addresses(self.plan):
            raise UsageError(
                f"run '{plan.run_id}' was started here with another plan: give the same rounds, "
                "epochs, seed, codec and neighbours to go on with it, or start a run with another "
                "id"
            )
        if manifest.architecture_hash != self._architecture_hash:
            raise UsageError(
                f"run '{plan.run_id}' was started with another model than the one loaded: load "
                "that one to go on with it, or start a run with another id"
            )

    def append(self, event: pb.GossipEvent) -> None:
        """Writes an event; it is on disk when this returns.

        Raises:
          StorageError: the disk is full.
        """
        try:
            append_event(self._directory, event)
        except OSError as error:
            raise full(self._directory, error) from None
        self.events.append(event)

    def keeper(self, round: int) -> Keep:
        """What takes the file of the state after a round; 0 for that which the run starts from.

        It gives the file a second name here, and raises StorageError where the disk is full.
        """
        return partial(self._keep, round)

    def _keep(self, round: int, checkpoint: Path) -> None:
        try:
            link_atomic(checkpoint, self._path(round))
        except OSError as error:
            raise full(self._directory, error) from None

    def drop_snapshots_before(self, round: int) -> None:
        """Removes the files of earlier rounds."""
        for earlier in [r for r in self.kept_rounds() if r < round]:
            self._path(earlier).unlink(missing_ok=True)

    def kept_rounds(self) -> list[int]:
        """Rounds whose files are here."""
        found = [p.stem.removeprefix("round-") for p in self._directory.glob("round-*.safetensors")]
        return sorted(int(text) for text in found if text.isascii() and text.isdigit())

    def snapshot(self, round: int) -> SliceSet:
        """Reads the weights after a round.

        Raises:
          DataError: they are not kept, or damaged.
        """
        state, _ = self._state(round)
        return state.only(filter(is_slice, state))

    def _state(self, round: int) -> tuple[SliceSet, Mapping[str, str]]:
        path = self._path(round)
        try:
            return state_files.guarded(path, lambda: read_round(path))
        except FileNotFoundError:
            raise DataError(
                f"run '{self.plan.run_id}': the weights after round {round} are not kept here; "
                f"kept: {self.kept_rounds()}; a run keeps all with keep_snapshots"
            ) from None
        except DamagedFileError as error:
            raise DataError(str(error)) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None

    def resume_state(self, manifest: Manifest, model_sha256: str) -> tuple[SliceSet, int | None]:
        """Reads the state that the run goes on from, checked against the model.

        Args:
          manifest: of the loaded model.
          model_sha256: its address.

        Returns:
          Every variable, and the steps behind them. Of a model that is not the very file that the
          round was trained with, and of a round that an earlier version wrote, the weights, and
          None.

        Raises:
          DataError: it is missing or damaged.
          TensorError: it is not that of the model.
        """
        state, about = self._state(self.last_done)
        whole = about.get("model_sha256") == model_sha256 and "step" in about
        tensors = state if whole else state.only(filter(is_slice, state))
        check_against(tensors, manifest.expected(weights_only=not whole))
        return tensors, int(about["step"]) if whole else None

    def _take_what_was_done(self) -> None:
        """Holds the events to the weights that are there: a round's are written before its line.

        Earlier weights are removed only after it: where none are left, the first round whose are
        was done, and its line was damaged since.
        """
        kept = self.kept_rounds()
        last = self.plan.rounds if self.finished or not kept else min(self.plan.rounds, kept[-1])
        done = pb.GossipEvent.ROUND_DONE
        self.events = [e for e in self.events if e.state != done or 1 <= e.round <= last]
        if kept and self.last_done < kept[0] <= last and not self.finished:
            self.events.append(pb.GossipEvent(state=done, round=kept[0], error=_LINE_LOST))

    def _path(self, round: int) -> Path:
        return self._directory / f"round-{round:04d}.safetensors"
