"""Gossip on this device: starts a run, goes on with one, and answers for the last one.

A run is told its neighbours and its rounds and goes on by itself. After a crash it goes on where it
was once it is started again with the same id; its neighbours do not wait for it meanwhile.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.gossip.transport.grpc_link import MAX_CALL_S, Backoff
from tfplus.gossip.transport.grpc_service import GossipService, Mailbox
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.tls import TlsFiles
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.run import GossipRun
from tfplus_agent.jobs.owner import Reservation
from tfplus_agent.storage.gossip_journal import RunJournal, valid_run_id, without_addresses
from tfplus_agent.storage.gossip_runs import drop_finished, read_last, set_last

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

MAX_ROUNDS = 100_000
MAX_EPOCHS = 100_000
MAX_NEIGHBOURS = 256
KEEP_RUNS = 10
_MAX_NAME_CHARS = 63


class GossipRunner:
    """The gossip of one device; at most one run at a time. Thread-safe.

    Args:
      device: trains.
      tls: own certificate, for the links to neighbours; None for plaintext.
      insecure: plaintext also beyond loopback.
      keep_runs: how many runs that have finished stay on disk when another begins.
      backoff: of attempts that reach no neighbour.
    """

    def __init__(
        self,
        device: Device,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        keep_runs: int = KEEP_RUNS,
        backoff: Backoff | None = None,
    ) -> None:
        self._device = device
        self._keep_runs = keep_runs
        self._link = Link(tls, insecure, backoff or Backoff())
        self._root = device.state_dir / "gossip"
        self._lock = threading.Lock()
        self._run: GossipRun | None = None
        self._last = read_last(self._root)
        self._closed = False

    def servicer(self) -> GossipService:
        """The Gossip service to add to the agent's server."""
        return GossipService(self._find, require_certificate=self._link.tls is not None)

    def start(self, plan: pb.GossipPlan) -> int:
        """Starts a run, or goes on with one that was interrupted.

        Args:
          plan: with an id that is new on this device, or that of the run to go on with. To start a
            run that is under way changes nothing.

        Returns:
          0 for a new run; else the round that it goes on from, one more than its rounds if it has
          finished.

        Raises:
          BusyError: another run, a job or a training is under way.
          DataError: no model is loaded, or what the run left on disk is damaged.
          UsageError: the plan makes no sense, or is not the one that the run was started with.
        """
        check_plan(plan, self._device.name)
        with self._lock:
            if self._closed:
                raise BusyError("this agent is shutting down")
            running = self._run
            if (
                running is not None
                and running.running
                and without_addresses(running.plan) == without_addresses(plan)
            ):
                return running.resumed_at
            held = self._device.owner.reservation(f"gossip run '{plan.run_id}'")
            held.take()
            try:
                with held.here():
                    run = self._begun(plan, held)
            except BaseException:
                held.release()
                raise
            self._run, self._last = run, run.journal
            return run.resumed_at

    def watch(
        self, run_id: str, from_round: int, is_active: Callable[[], bool]
    ) -> Iterator[pb.GossipEvent]:
        """Yields the events of a run until it ends or nobody listens.

        Of a run that an earlier life of this agent left, what is on disk.

        Args:
          run_id: which run.
          from_round: rounds before this one are left out.
          is_active: whether someone listens.

        Raises:
          DataError: the run is not known here.
        """
        run = self._of(run_id)
        if run is not None:
            yield from run.watch(from_round, is_active)
            return
        # Without the lock: a run of that id may begin meanwhile.
        journal = RunJournal.read(self._root, run_id, mend=False)
        if journal is None:
            raise DataError(f"gossip run '{run_id}' is not known on this agent: start it first")
        yield from (e for e in journal.events if e.round >= from_round)

    def stop(self, run_id: str) -> bool:
        """Stops a run and returns whether it was under way; it can be gone on with."""
        run = self._of(valid_run_id(run_id))
        return run.stop() if run is not None else False

    def progress(self) -> tuple[str, int, bool]:
        """Returns run id, round and whether it is under way; of the last run, if any."""
        run, last = self._run, self._last
        if run is not None:
            return run.plan.run_id, run.round, run.running
        if last is not None:
            return last.plan.run_id, last.last_done, False
        return "", 0, False

    def snapshot(self, round: int) -> SliceSet:
        """Returns the weights as they stood after a round of the last run; 0: before the first.

        Raises:
          DataError: there is no run, or the weights of that round are not kept.
        """
        last = self._last
        if last is None:
            raise DataError("no gossip run on this agent yet: start one first")
        return last.snapshot(round)

    def close(self) -> None:
        """Stops the run under way and starts no other; it can be gone on with."""
        with self._lock:
            self._closed = True
            run = self._run
        if run is not None:
            run.stop()

    def _begun(self, plan: pb.GossipPlan, held: Reservation) -> GossipRun:
        journal, resumed = self._journal(plan)
        run = GossipRun(self._device, journal, resumed, self._link, held)
        set_last(self._root, plan.run_id)
        drop_finished(self._root, self._keep_runs, but=plan.run_id)
        run.start()
        return run

    def _journal(self, plan: pb.GossipPlan) -> tuple[RunJournal, bool]:
        manifest = self._device.manifest
        found = RunJournal.read(self._root, plan.run_id)
        if found is None:
            model, settle = self._device.model_sha256, self._device.settle
            return RunJournal.create(self._root, plan, manifest, settle, model), False
        found.check_resumable(plan, manifest)
        found.plan = plan
        if not found.finished:
            # Training of the round that was cut off is done over: from where that round began.
            tensors, step = found.resume_state(manifest, self._device.model_sha256)
            self._device.set_weights(tensors, step=step)
        return found, True

    def _of(self, run_id: str) -> GossipRun | None:
        run = self._run
        return run if run is not None and run.plan.run_id == run_id else None

    def _find(self, run_id: str) -> Mailbox | None:
        run = self._of(run_id)
        return run.mailbox if run is not None and run.takes_contributions else None


def check_plan(plan: pb.GossipPlan, own_name: str) -> None:
    """Checks what an agent is told.

    Raises:
      UsageError: naming the field, what was expected and what came.
    """
    valid_run_id(plan.run_id)
    for field, value, most in (
        ("rounds", plan.rounds, MAX_ROUNDS),
        ("epochs_per_round", plan.epochs_per_round, MAX_EPOCHS),
    ):
        if not 1 <= value <= most:
            raise UsageError(f"{field}: expected 1 to {most}, got {value}")
    timeout_s = plan.round_timeout_s
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_CALL_S):
        raise UsageError(f"round_timeout_s: expected up to {MAX_CALL_S:g} s, got {timeout_s}")
    names = [n.name for n in plan.neighbours]
    if len(names) > MAX_NEIGHBOURS:
        raise UsageError(f"expected at most {MAX_NEIGHBOURS} neighbours, got {len(names)}")
    for name in names:
        if not (0 < len(name) <= _MAX_NAME_CHARS and name.isprintable()):
            raise UsageError(f"neighbour {name[:80]!r}: expected a printable name")
        if name == own_name or names.count(name) > 1:
            raise UsageError(
                f"neighbour '{name}': expected names of others, each once; this agent is "
                f"'{own_name}'"
            )
