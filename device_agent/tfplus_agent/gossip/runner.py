"""Gossip on this device, as callers see it: starts a run, goes on with one, watches, stops.

A run is a job. Started here it begins at once, before all jobs that wait, since its neighbours
wait for it; or it is refused, where a training or a job is under way. After that it goes on by
itself: behind the death of its worker, and behind that of the whole agent once that is started
again. Its neighbours do not wait for it meanwhile. One that was stopped, or failed, is gone on with
by starting it once more with the same id.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.gossip.gossip_jobs import GossipJobs
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.storage.gossip_files import without_addresses, without_hints
from tfplus_agent.storage.gossip_journal import RunJournal
from tfplus_agent.storage.run_ids import valid_run_id

if TYPE_CHECKING:
    from tfplus.gossip.transport.grpc_service import GossipService
    from tfplus.gossip.transport.membership_service import MembershipService

_STOP_TIMEOUT_S = 60.0


class GossipRunner:
    """The gossip of one device. Thread-safe.

    Args:
      gossip: the kind of job that runs are.
      jobs: the queue that knows this kind.
    """

    def __init__(self, gossip: GossipJobs, jobs: JobQueue) -> None:
        self._gossip = gossip
        self._jobs = jobs
        self._lock = threading.Lock()

    def servicer(self) -> GossipService:
        """The Gossip service to add to the agent's server."""
        from tfplus.gossip.transport.grpc_service import GossipService

        certified = self._gossip.link.tls is not None
        return GossipService(self._gossip.mailbox, require_certificate=certified)

    def member_servicer(self) -> MembershipService:
        """The Membership service to add to the agent's server."""
        from tfplus.gossip.transport.membership_service import MembershipService

        certified = self._gossip.link.tls is not None
        return MembershipService(self._gossip.members, require_certificate=certified)

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
        self._gossip.check(pb.JobSpec(gossip=plan))
        with self._lock:
            self._jobs.check_open()
            job = self._unfinished(plan.run_id)
            if job is not None:
                under_way = job.record.spec.gossip
                if without_hints(under_way) == without_hints(plan):
                    return self._goes_on_from(plan.run_id)
                if without_addresses(under_way) == without_addresses(plan):
                    return self._gossip.move(job, plan)
            else:
                ended = RunJournal.read(self._gossip.root, plan.run_id)
                if ended is not None and ended.finished:
                    ended.check_resumable(plan, self._gossip.device.manifest)
                    self._gossip.answer_for(ended)
                    return plan.rounds + 1
            self._jobs.begin_at_once(pb.JobSpec(gossip=plan), plan.run_id)
            return self._goes_on_from(plan.run_id)

    def watch(
        self, run_id: str, from_round: int, is_active: Callable[[], bool]
    ) -> Iterator[pb.GossipEvent]:
        """Yields the events of a run until it ends or nobody listens.

        Of a run that has no job here any more, what is on disk.

        Args:
          run_id: which run.
          from_round: rounds before this one are left out.
          is_active: whether someone listens; `wake` says that it has changed.

        Raises:
          DataError: the run is not known here.
        """
        job = self._newest(valid_run_id(run_id))
        if job is not None:
            events = map(_of_job_event, job.watch(0, is_active))
        else:
            # A run of that id may begin meanwhile.
            journal = RunJournal.read(self._gossip.root, run_id, mend=False)
            if journal is None:
                raise DataError(f"gossip run '{run_id}' is not known on this agent: start it first")
            events = iter(journal.events)
        for event in events:
            if event is None or event.state == pb.GossipEvent.JOINED:
                continue
            if event.round >= from_round or event.state != pb.GossipEvent.ROUND_DONE:
                yield event

    def wake(self, run_id: str) -> None:
        """Makes those who watch a run ask again whether somebody listens."""
        job = self._newest(run_id)
        if job is not None:
            job.wake()

    def stop(self, run_id: str) -> bool:
        """Stops a run and returns whether it was under way; it can be gone on with.

        Raises:
          BusyError: its step under way does not end.
        """
        job = self._newest(valid_run_id(run_id))
        if job is None or not self._jobs.cancel(job.record.id):
            return False
        if not job.wait_for_end(_STOP_TIMEOUT_S):
            raise BusyError(f"gossip run '{run_id}' is to stop, and its step does not end: wait")
        return True

    def progress(self) -> tuple[str, int, bool]:
        """Returns run id, round and whether it is under way; of the last run, if any."""
        running = self._jobs.running()
        if running is not None and running.spec.HasField("gossip"):
            run_id = running.spec.gossip.run_id
            run = self._gossip.run_of(run_id)
            under_way = running.state == pb.JobStatus.RUNNING
            return run_id, run.round if run else running.rounds_done, under_way
        last = self._gossip.last
        return (last.plan.run_id, last.last_done, False) if last is not None else ("", 0, False)

    def members(self) -> list[pb.GossipMember]:
        """All others of the run under way, as they are believed to be; none without membership."""
        run_id, _, under_way = self.progress()
        members = self._gossip.members(run_id) if under_way else None
        return members.states() if members is not None else []

    def admit(self, run_id: str, name: str, address: str) -> pb.GossipPlan:
        """Lets another agent join a run that is under way here.

        Args:
          run_id: which.
          name: of the agent that joins.
          address: under which the members reach it.

        Returns:
          The plan to start it with.

        Raises:
          DataError: the run is not under way here.
          UsageError: its neighbours stay those of the start, or the other cannot be a member.
        """
        run = self._gossip.run_of(valid_run_id(run_id))
        if run is None or self._unfinished(run_id) is None or not run.takes_contributions:
            raise DataError(
                f"gossip run '{run_id}' is not under way on this agent: ask one on which it is"
            )
        if run.members is None:
            raise UsageError(
                f"gossip run '{run_id}' was started without membership, so that nobody can join: "
                "start one with --membership swim"
            )
        from tfplus_agent.gossip.plans import check_name, plan_to_join

        check_name("member", name)
        run.members.admit(name, address)
        return plan_to_join(run.journal.plan, name, address)

    def snapshot(self, round: int) -> SliceSet:
        """Returns the weights as they stood after a round of the last run; 0: before the first.

        Raises:
          DataError: there is no run, or the weights of that round are not kept.
        """
        last = self._gossip.last
        if last is None:
            raise DataError("no gossip run on this agent yet: start one first")
        return last.snapshot(round)

    def _goes_on_from(self, run_id: str) -> int:
        run = self._gossip.run_of(run_id)
        if run is not None:
            return run.resumed_at
        # It waits in the queue, or the agent has just been started.
        journal = RunJournal.read(self._gossip.root, run_id, mend=False)
        return journal.last_done + 1 if journal is not None else 0

    def _unfinished(self, run_id: str) -> Job | None:
        job = self._newest(run_id)
        return job if job is not None and job.record.unfinished else None

    def _newest(self, run_id: str) -> Job | None:
        return self._jobs.newest(lambda spec: spec.gossip.run_id == run_id)


def _of_job_event(event: pb.JobEvent) -> pb.GossipEvent | None:
    """What an event of a job says of the run; None where it says nothing."""
    if event.HasField("gossip"):
        return event.gossip
    if event.kind == pb.JobEvent.CANCELLED:
        return pb.GossipEvent(state=pb.GossipEvent.STOPPED, round=event.rounds_done)
    if event.kind == pb.JobEvent.FAILED:
        failed = pb.GossipEvent.FAILED
        return pb.GossipEvent(state=failed, round=event.rounds_done, error=event.reason)
    return None
