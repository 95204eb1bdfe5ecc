"""The calls of an agent that have to do with jobs."""

from __future__ import annotations

from collections.abc import Iterator

from tfplus.fleet.clients.connection import Connection
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc, jobs_pb2, jobs_pb2_grpc
from tfplus.tensors.slices import Tensor
from tfplus.wire import tensors
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles


class JobCalls(Connection):
    """Jobs of one agent; for what it is made with see `Connection`."""

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = 120.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(address, tls, insecure=insecure, timeout_s=timeout_s, limits=limits)
        self._agent = agent_pb2_grpc.AgentStub(self._channel)
        self._jobs = jobs_pb2_grpc.JobsStub(self._channel)

    def submit_job(self, spec: pb.JobSpec, job_id: str = "") -> pb.JobStatus:
        """Puts a job into the agent's queue; it is on the agent's disk when this returns.

        Args:
          spec: what to do with the model that is loaded now.
          job_id: names it, so that the same request twice makes one job; empty for a number.
        """
        with self._errors():
            request = pb.SubmitJobRequest(id=job_id, spec=spec)
            return self._agent.SubmitJob(request, timeout=self._timeout_s)

    def jobs(self) -> list[pb.JobStatus]:
        """The agent's jobs, in the order of submission."""
        with self._errors():
            return list(self._agent.ListJobs(pb.ListJobsRequest(), timeout=self._timeout_s).jobs)

    def watch_job(self, job_id: str, from_sequence: int = 0) -> Iterator[pb.JobEvent]:
        """Yields a job's events from a number on, then what follows, until the job or agent ends.

        To leave stops nothing; `tfplus.fleet.job_events.follow` also comes back.
        """
        request = pb.WatchJobRequest(id=job_id, from_sequence=from_sequence)
        with self._errors():
            call = self._agent.WatchJob(request)
            try:
                yield from call
            finally:
                call.cancel()

    def cancel_job(self, job_id: str) -> bool:
        """Ends a job, keeping what it learned; returns whether it had not ended before."""
        with self._errors():
            request = pb.CancelJobRequest(id=job_id)
            return self._agent.CancelJob(request, timeout=self._timeout_s).was_unfinished

    def pause_job(self, job_id: str) -> bool:
        """Holds a job until it is resumed; returns whether it was not held before."""
        with self._errors():
            request = jobs_pb2.PauseJobRequest(id=job_id)
            return self._jobs.PauseJob(request, timeout=self._timeout_s).was_going_on

    def resume_job(self, job_id: str) -> bool:
        """Lets a job go on that was held; returns whether it was."""
        with self._errors():
            request = jobs_pb2.ResumeJobRequest(id=job_id)
            return self._jobs.ResumeJob(request, timeout=self._timeout_s).was_paused

    def run_attached_job(self, spec: pb.JobSpec, job_id: str = "") -> Iterator[pb.JobEvent]:
        """Submits a job and yields its events; the job is cancelled where that ends before it does.

        Closing the iterator, this connection or this process ends it.
        """
        with self._errors():
            call = self._jobs.RunAttachedJob(pb.SubmitJobRequest(id=job_id, spec=spec))
            try:
                yield from call
            finally:
                call.cancel()

    def job_result(self, job_id: str) -> dict[str, Tensor]:
        """What a prediction left on the agent: output's name → [samples, ...].

        Raises:
          RemoteError: the agent cannot be reached, or has no such result.
          TensorError: what came does not match its hashes, or passes a cap.
        """
        with self._errors():
            request = jobs_pb2.GetJobResultRequest(id=job_id)
            call = self._jobs.GetJobResult(request, timeout=self._timeout_s)
            return tensors.from_parts(call, limits=self._limits)
