"""The events of a job on an agent, through broken links and restarts of the agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from tfplus.errors import UnreachableError
from tfplus.proto.v1 import agent_pb2 as pb

ENDS = (pb.JobEvent.FINISHED, pb.JobEvent.FAILED, pb.JobEvent.CANCELLED)


class Watchable(Protocol):
    """What is asked of an agent; see `client.AgentClient`."""

    def watch_job(self, job_id: str, from_sequence: int = 0) -> Iterator[pb.JobEvent]:
        """Yields a job's events until the job or the agent ends."""
        ...

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until the agent can be reached."""
        ...


def follow(
    client: Watchable,
    job_id: str,
    from_sequence: int = 0,
    *,
    patience_s: float = 60.0,
    on_lost: Callable[[str], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[pb.JobEvent]:
    """Yields every event of a job once, in order, up to its end.

    Args:
      client: of the agent.
      job_id: which job.
      from_sequence: events with smaller numbers are left out.
      patience_s: how long an agent that cannot be reached is waited for.
      on_lost: told why, whenever the agent is lost; it then is asked again.
      clock: monotonic seconds.

    Raises:
      RemoteError: the agent refused.
      UnreachableError: it could not be reached for so long.
    """
    upcoming = from_sequence
    lost_at: float | None = None
    while True:
        error = UnreachableError(f"job '{job_id}': the agent was ended, and the job was not")
        try:
            for event in client.watch_job(job_id, upcoming):
                lost_at, upcoming = None, event.sequence + 1
                yield event
                if event.kind in ENDS:
                    return
        except UnreachableError as raised:
            error = raised
        if lost_at is None:
            lost_at = clock()
            on_lost(str(error))
        left_s = lost_at + patience_s - clock()
        if left_s <= 0:
            raise error
        client.wait_ready(left_s)
