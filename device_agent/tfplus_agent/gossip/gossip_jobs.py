"""Jobs that are a device's part of a gossip run: rounds, and what becomes of them after a crash.

What is done of a run stands in its journal, with its last round's weights; a job goes on behind
that, after a worker's death, a pause or a restart of the agent, and tells what its events lack.
Several jobs can be about one run, one after the other: a run that was stopped or failed is gone on
with by another.

What talks to neighbours is imported where a run begins: an agent may never take part in one.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfplus.errors import TfplusError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.training.epoch import EpochPlan, EpochResult
from tfplus.wire.tls import TlsFiles
from tfplus_agent.jobs.hooks import TrainHooks
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import JobKind
from tfplus_agent.storage.gossip_files import keeping_admitted
from tfplus_agent.storage.gossip_journal import RunJournal
from tfplus_agent.storage.gossip_runs import drop_finished, read_last, set_last

if TYPE_CHECKING:
    from tfplus.gossip.transport.grpc_link import Backoff
    from tfplus.gossip.transport.mailbox import Mailbox
    from tfplus_agent.device.device import Device
    from tfplus_agent.gossip.links import Link
    from tfplus_agent.gossip.run import GossipRun
    from tfplus_agent.gossip.run_members import RunMembers

KEEP_RUNS = 10
_MOVED = "its neighbours have new addresses"


class GossipJobs(JobKind):
    """See `JobKind`; one run at a time.

    Args:
      device: trains.
      tls: own certificate, for the links to neighbours; None for plaintext.
      insecure: plaintext also beyond loopback.
      keep_runs: how many runs that have finished stay on disk when another begins.
      backoff: of attempts that reach no neighbour.
      upload_bytes_per_s: at most so much goes to neighbours, all together; None for no limit.

    Attributes:
      device: as given.
      root: directory of all runs.
      last: the run that was begun last, in this life or an earlier one; None for none.
    """

    work = "gossip"

    def __init__(
        self,
        device: Device,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        keep_runs: int = KEEP_RUNS,
        backoff: Backoff | None = None,
        upload_bytes_per_s: float | None = None,
    ) -> None:
        self.device = device
        self._tls, self._insecure, self._backoff = tls, insecure, backoff
        self._upload_bytes_per_s = upload_bytes_per_s
        self.root = device.state_dir / "gossip"
        self.last: RunJournal | None = read_last(self.root)
        self._keep_runs = keep_runs
        self._run: GossipRun | None = None
        # Made in `begin`, for the first time that its job is carried out.
        self._fresh: tuple[Job, GossipRun] | None = None
        self._moved: Job | None = None
        if self.last is not None and self.last.finished:
            # A neighbour that is late hears that its run is over.
            with contextlib.suppress(TfplusError):
                self.answer_for(self.last)

    @functools.cached_property
    def link(self) -> Link:
        """How neighbours are reached."""
        from tfplus.gossip.transport.grpc_link import Backoff
        from tfplus.gossip.transport.upload_cap import UploadCap
        from tfplus_agent.gossip.links import Link

        rate = self._upload_bytes_per_s
        cap = None if rate is None else UploadCap(rate)
        return Link(self._tls, self._insecure, self._backoff or Backoff(), cap)

    def check(self, spec: pb.JobSpec) -> None:
        """Whether the plan makes sense here."""
        from tfplus_agent.gossip.plans import check_plan

        check_plan(spec.gossip, self.device.name)

    def title(self, job_id: str, spec: pb.JobSpec) -> str:
        """It is known by its run, on all agents."""
        return f"gossip run '{spec.gossip.run_id}'"

    def begin(self, job: Job) -> Mapping[str, Any]:
        """Begins the run, or goes on with what an earlier job left of it."""
        run = self._opened(job.record.spec.gossip)
        self._fresh = (job, run)
        return {"first_step": run.steps}

    def max_restarts(self, spec: pb.JobSpec) -> int:
        """None of the job: a run trains a round again, as often as that is allowed."""
        return 0

    def carry_out(self, job: Job, why: str) -> None:
        """Performs rounds behind the last that is done."""
        fresh, self._fresh = self._fresh, None
        if self._moved is job:
            self._moved, why = None, _MOVED
        run = fresh[1] if fresh and fresh[0] is job else self._opened(job.record.spec.gossip)
        self._go_on(job, run, why)
        job.on_stopping = lambda: run.stop() if job.stopping else None
        try:
            job.on_stopping()
            end = run.carry_out()
        finally:
            job.on_stopping = lambda: None
            if job.reservation is not None:
                with job.reservation.here(last=True):
                    run.close()
        if end is not None:
            job.end(pb.JobEvent.FINISHED, gossip=end, reason=end.error)

    def move(self, job: Job, plan: pb.GossipPlan) -> int:
        """Lets a run go on with neighbours that have new addresses; on disk when this returns.

        Args:
          job: not ended.
          plan: of the run, with the addresses.

        Returns:
          The round that it goes on from.

        Raises:
          StorageError: the disk is full.
        """
        _save_plan(job, keeping_admitted(plan, job.record.spec.gossip))
        run = self.run_of(plan.run_id)
        if run is None:
            return 0
        # It is opened anew, at its last round.
        self._moved = job
        run.stop()
        return run.journal.last_done + 1

    def so_far(self, job: Job) -> Mapping[str, Any]:
        """The rounds that it has done."""
        rounds = job.rounds_done
        return {"gossip": pb.GossipEvent(state=pb.GossipEvent.STOPPED, round=rounds)}

    def run_of(self, run_id: str) -> GossipRun | None:
        """The run that was under way last in this life of the agent, if it is that one."""
        run = self._run
        return run if run is not None and run.plan.run_id == run_id else None

    def mailbox(self, run_id: str) -> Mailbox | None:
        """Where contributions to a run go; None for one that is not under way."""
        run = self.run_of(run_id)
        return run.mailbox if run is not None and run.takes_contributions else None

    def retire(self) -> None:
        """Answers no members of its last run any more: another begins, or the agent ends."""
        if self._run is not None:
            self._run.retire()

    def members(self, run_id: str) -> RunMembers | None:
        """Who is there of a run that is under way here, or has finished; None where none is."""
        run = self.run_of(run_id)
        return run.members if run is not None and run.takes_contributions else None

    def answer_for(self, journal: RunJournal) -> None:
        """Answers the neighbours of a run that has finished here.

        Raises:
          DataError: no model is loaded.
          UsageError: another one is than that of the run.
        """
        journal.check_resumable(journal.plan, self.device.manifest)
        if self.run_of(journal.plan.run_id) is None:
            run = self._over(journal, resumed=True)
            run.answer_only()
            self._took(run)

    def _go_on(self, job: Job, run: GossipRun, why: str) -> None:
        """Brings ledger and events of a job to where its run stands, and lets it tell the rest."""
        first, told = job.record.first_step or 0, set[int]()
        if why or run.resumed_at:
            told = {e.gossip.round for e in job.events() if e.kind == pb.JobEvent.ROUND}
            done = max(0, run.steps - first)
            job.ledger.take_up(job.events(), done)
            if why:
                at = {"steps_done": done, "rounds_done": run.journal.last_done}
                job.tell(pb.JobEvent.RESUMED, reason=why, **at)

        lost = 0

        def took(_: EpochPlan, result: EpochResult) -> None:
            nonlocal lost
            lost += len(result.step_ms)
            job.ledger.piece(result)

        def tell(event: pb.GossipEvent) -> None:
            nonlocal lost
            lost = 0
            report, _ = job.ledger.checkpoint()
            at = {"steps_done": max(0, run.steps - first), "rounds_done": event.round}
            job.tell_if_possible(pb.JobEvent.ROUND, gossip=event, report=report, **at)

        def died(how: str) -> None:
            nonlocal lost
            job.ledger.lose(lost)
            lost = 0
            job.save(restarts=job.record.restarts + 1)
            job.tell_if_possible(pb.JobEvent.RESUMED, reason=how)

        for event in run.journal.events:
            if event.state == pb.GossipEvent.ROUND_DONE and event.round not in told:
                tell(event)
        run.on_round, run.on_death = tell, died
        run.on_plan = functools.partial(_save_plan, job)
        run.hooks = TrainHooks(took, job.ledger.lose, job.ledger.phase)

    def _opened(self, plan: pb.GossipPlan) -> GossipRun:
        """Opens a run at its last round, and makes the model stand there."""
        self.retire()
        journal, steps, resumed = self._journal(plan)
        run = self._over(journal, resumed=resumed)
        run.begin_at(steps)
        set_last(self.root, plan.run_id)
        drop_finished(self.root, self._keep_runs, but=plan.run_id)
        self._took(run)
        return run

    def _over(self, journal: RunJournal, *, resumed: bool) -> GossipRun:
        from tfplus_agent.gossip.run import GossipRun

        return GossipRun(self.device, journal, resumed, self.link)

    def _took(self, run: GossipRun) -> None:
        self._run, self.last = run, run.journal

    def _journal(self, plan: pb.GossipPlan) -> tuple[RunJournal, int, bool]:
        device = self.device
        manifest, sha256 = device.manifest, device.model_sha256
        found = RunJournal.read(self.root, plan.run_id)
        resumed = found is not None
        if found is None:
            found = RunJournal.create(self.root, plan, manifest, device.settle, sha256)
        else:
            found.check_resumable(plan, manifest)
            found.go_on(keeping_admitted(plan, found.plan))
        if plan.membership.joins and not found.joined:
            from tfplus_agent.gossip.joining import join_run

            join_run(device, found, self.link)
            resumed = True
        elif resumed and not found.finished:
            # Training of the round that was cut off is done over: from where that round began.
            tensors, step = found.resume_state(manifest, sha256)
            device.set_weights(tensors, step=step)
            if found.plan.HasField("membership"):
                from tfplus_agent.gossip.returning import rejoin

                rejoin(device, found, self.link)
        return found, device.trained_steps, resumed


def _save_plan(job: Job, plan: pb.GossipPlan) -> None:
    spec = pb.JobSpec()
    spec.CopyFrom(job.record.spec)
    spec.gossip.CopyFrom(plan)
    job.save(spec=spec)
