"""The events of a job on an agent, through broken links and restarts of the agent."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from tfplus.errors import TfplusError, UnreachableError
from tfplus.proto.v1 import agent_pb2 as pb

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
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
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[pb.JobEvent]:
    """Yields every event of a job once, in order, up to its end.

    Args:
      client: of the agent.
      job_id: which job.
      from_sequence: events with smaller numbers are left out.
      patience_s: how long an agent that cannot be reached is waited for.
      on_lost: told why, whenever the agent is lost; it then is asked again.
      clock: monotonic seconds.
      pause: waits so many seconds, where an agent can be reached and tells nothing.

    Raises:
      RemoteError: the agent refused.
      UnreachableError: it could not be reached for so long.
    """
    upcoming = from_sequence
    lost_at: float | None = None
    pause_s = 0.0
    while True:
        error = UnreachableError(f"job '{job_id}': the agent was ended, and the job was not")
        try:
            for event in client.watch_job(job_id, upcoming):
                lost_at, pause_s, upcoming = None, 0.0, event.sequence + 1
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
        # An agent that is shutting down answers for some seconds, and ends every watch at once.
        if pause_s:
            pause(pause_s)
        pause_s = min(max(_FIRST_PAUSE_S, 2 * pause_s), _LONGEST_PAUSE_S)
        client.wait_ready(left_s)


def follow_all(
    clients: Mapping[str, Watchable],
    job_id: str,
    *,
    patience_s: float = 60.0,
    on_lost: Callable[[str, str], object] = lambda _, __: None,
) -> Iterator[tuple[str, pb.JobEvent | TfplusError]]:
    """Yields the events of jobs of one id on several agents, such as a gossip run, as they come.

    Args:
      clients: agent → its client.
      job_id: which job, on each of them.
      patience_s: how long an agent that cannot be reached is waited for.
      on_lost: told which agent is lost and why, from another thread.

    Yields:
      Agent and event; of an agent that refused, or stayed away for too long, last the error.
    """
    found: queue.SimpleQueue[tuple[str, pb.JobEvent | TfplusError | None]] = queue.SimpleQueue()

    def watch(name: str, client: Watchable) -> None:
        try:
            lost = lambda why: on_lost(name, why)  # noqa: E731
            for event in follow(client, job_id, patience_s=patience_s, on_lost=lost):
                found.put((name, event))
        except TfplusError as error:
            found.put((name, error))
        finally:
            found.put((name, None))

    for name, client in clients.items():
        threading.Thread(target=watch, args=(name, client), daemon=True).start()
    left = len(clients)
    while left:
        name, event = found.get()
        if event is None:
            left -= 1
        else:
            yield name, event
