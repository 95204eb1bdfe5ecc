"""The Jobs service: what can be done with jobs beyond the calls of the Agent service."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import grpc

from tfplus.errors import TfplusError
from tfplus.proto.v1 import agent_pb2, jobs_pb2_grpc
from tfplus.proto.v1 import jobs_pb2 as pb
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.wire import tensors
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus_agent.jobs.queue import CLIENT_GONE, JobQueue
from tfplus_agent.server.callers.calls import CallContext

_LOG = logging.getLogger(__name__)


class JobsService(jobs_pb2_grpc.JobsServicer):
    """Answers the calls of the Jobs service.

    Args:
      jobs: those of the device.
      limits: caps on what goes out.
    """

    def __init__(self, jobs: JobQueue, limits: Limits = DEFAULT_LIMITS) -> None:
        self._jobs = jobs
        self._limits = limits

    def PauseJob(  # noqa: N802
        self, request: pb.PauseJobRequest, context: grpc.ServicerContext
    ) -> pb.PauseJobResponse:
        """Holds a job."""
        return pb.PauseJobResponse(was_going_on=self._jobs.pause(request.id))

    def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, context: grpc.ServicerContext
    ) -> pb.ResumeJobResponse:
        """Lets a job go on."""
        return pb.ResumeJobResponse(was_paused=self._jobs.resume(request.id))

    def RunAttachedJob(  # noqa: N802
        self, request: agent_pb2.SubmitJobRequest, context: CallContext
    ) -> Iterator[agent_pb2.JobEvent]:
        """Queues a job, streams its events, and ends it with the call."""
        job = self._jobs.submit(request.spec, request.id, attached=True)
        context.add_callback(lambda: self._jobs.wake(job.id))
        try:
            yield from self._jobs.watch(job.id, 0, context.is_active)
        finally:
            self._abandon(job.id)

    def _abandon(self, job_id: str) -> None:
        try:
            if self._jobs.cancel(job_id):
                _LOG.warning("job '%s' ends: %s", job_id, CLIENT_GONE)
        except TfplusError as error:
            _LOG.warning("job '%s' goes on, though %s: %s", job_id, CLIENT_GONE, error)

    def GetJobResult(  # noqa: N802
        self, request: pb.GetJobResultRequest, context: grpc.ServicerContext
    ) -> Iterator[tensors_pb.TensorSetPart]:
        """Streams out what a job left."""
        yield from tensors.to_parts(self._jobs.result(request.id), limits=self._limits)
