"""What a kind of job is: a class under `JobKind`, in a file of its own.

A kind is named by the field of JobSpec's `work` that asks for it. Those that need nothing but the
device lie in `jobs/kinds/`; one that needs more, such as gossip, lies in the room that has it. The
server gives all of them to the queue, and nothing else knows which there are.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.results import MemoryReading
from tfplus_agent.storage.directory import LoadedModel

MAX_RESTARTS = 3


class Workplace(Protocol):
    """What every job needs of the device; see `device.Device`."""

    owner: DeviceOwner

    @property
    def loaded_as(self) -> LoadedModel | None:
        """How the loaded model was loaded."""
        ...

    def load_as(self, request: LoadedModel) -> int:
        """Loads a model."""
        ...

    def rest(self) -> None:
        """Ends the worker until something needs it."""
        ...

    def memory(self) -> MemoryReading:
        """Resident memory of daemon and worker, now."""
        ...


class JobKind(abc.ABC):
    """A kind of job.

    Attributes:
      work: field of JobSpec that asks for it.
    """

    work: ClassVar[str]

    def check(self, spec: pb.JobSpec) -> None:  # noqa: B027 (most have nothing to check)
        """Checks a job before it is taken into the queue.

        Raises:
          TfplusError: it makes no sense, or cannot be done on this device.
        """

    def title(self, job_id: str, spec: pb.JobSpec) -> str:
        """What others are told that is under way while the job has the device."""
        return f"job '{job_id}'"

    def begin(self, job: Job) -> Mapping[str, Any]:
        """What the record of a job holds from its beginning on, which a restart does not ask again.

        Called once in a job's life, with the job's model loaded and the device reserved. A job that
        begins at once is on disk only after it, and not at all where it raises.

        Raises:
          TfplusError: it cannot begin.
        """
        return {}

    @abc.abstractmethod
    def carry_out(self, job: Job, why: str) -> None:
        """Does the work, or what is left of it, and ends the job.

        Returns without an end soon after `job.stopping` has become true: the job then is held,
        cancelled, or taken up again after the next start of the agent.

        Args:
          job: has begun; its model is loaded, and this thread's operations are the job's own.
          why: it goes on and does not begin, as RESUMED tells; empty where it begins.

        Raises:
          WorkerError: the worker died; the job goes on, or fails where that was too often.
          TfplusError: the job fails.
        """

    def so_far(self, job: Job) -> Mapping[str, Any]:
        """What the last event of a job tells that is ended before its end."""
        return {}

    def max_restarts(self, spec: pb.JobSpec) -> int:
        """How often a job goes on after its worker died."""
        return MAX_RESTARTS
