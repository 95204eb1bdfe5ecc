"""A job's events, followed over links that break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tfplus.cli.text import jobs as jobs_text
from tfplus.errors import RemoteError, UnreachableError
from tfplus.fleet.job_events import follow, follow_all
from tfplus.proto.v1 import agent_pb2 as pb

Kind = pb.JobEvent
EVENTS = [
    pb.JobEvent(sequence=1, kind=Kind.QUEUED),
    pb.JobEvent(sequence=2, kind=Kind.STARTED),
    pb.JobEvent(sequence=3, kind=Kind.STEP, steps_done=1),
    # After a restart of the agent numbers are left out.
    pb.JobEvent(sequence=300, kind=Kind.RESUMED, steps_done=1),
    pb.JobEvent(sequence=301, kind=Kind.FINISHED, steps_done=2),
]
GONE = UnreachableError("gone")


class Agent:
    """Ends each watch after so many events, by an error or as an agent that ends."""

    def __init__(self, *ends: tuple[int, Exception | None]) -> None:
        self._ends = list(ends)
        self.asked: list[int] = []
        self.waited: list[float] = []
        self.now = 0.0
        self.pauses: list[float] = []

    def watch_job(self, job_id: str, from_sequence: int = 0) -> Iterator[pb.JobEvent]:
        assert job_id == "3"
        self.asked.append(from_sequence)
        count, error = self._ends.pop(0) if self._ends else (len(EVENTS), None)
        yield from [e for e in EVENTS if e.sequence >= from_sequence][:count]
        if error is not None:
            raise error

    def wait_ready(self, timeout_s: float) -> None:
        self.waited.append(timeout_s)
        self.now += 10.0


def followed(agent: Agent, **given: Any) -> list[pb.JobEvent]:
    return list(follow(agent, "3", clock=lambda: agent.now, pause=agent.pauses.append, **given))


def test_events_come_once_and_in_order_whatever_breaks() -> None:
    lost: list[str] = []
    agent = Agent((2, GONE), (0, GONE), (0, None), (2, None))
    assert followed(agent, on_lost=lost.append) == EVENTS
    assert agent.asked == [0, 3, 3, 3, 301]
    # Patience is for one absence, and begins anew with the next.
    assert agent.waited == [60.0, 50.0, 40.0, 60.0]
    assert lost == ["gone", "job '3': the agent was ended, and the job was not"]


def test_an_agent_that_answers_and_tells_nothing_is_asked_less_and_less_often() -> None:
    agent = Agent(*[(2, None), *[(0, None)] * 10])
    with pytest.raises(UnreachableError, match="the agent was ended, and the job was not"):
        followed(agent, patience_s=100)
    assert agent.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]


def test_from_a_number_on() -> None:
    assert followed(Agent(), from_sequence=3) == EVENTS[2:]


def test_patience_has_an_end() -> None:
    agent = Agent((1, GONE), *[(0, GONE)] * 9)
    with pytest.raises(UnreachableError, match="gone"):
        followed(agent, patience_s=25)
    assert agent.waited == [25.0, 15.0, 5.0]


def test_a_refusal_is_not_waited_out() -> None:
    agent = Agent((0, RemoteError("job '3' is not known")))
    with pytest.raises(RemoteError, match="not known"):
        followed(agent)
    assert agent.waited == []


def test_every_kind_of_event_has_words() -> None:
    step = pb.TrainStep(step=3, steps_total=20, loss=0.25, metrics={"accuracy": 0.5})
    trained = pb.TrainSummary(steps=4, trained_steps=9, mean_loss=0.5, warnings=["dark"])
    evaluated = pb.EvaluateResponse(samples=1234, metrics={"accuracy": 0.75})
    for event, words in (
        (pb.JobEvent(kind=Kind.QUEUED), "queued"),
        (pb.JobEvent(kind=Kind.STEP, steps_done=3, step=step), "step 3/20: loss 0.25, acc"),
        (pb.JobEvent(kind=Kind.CHECKPOINT, steps_done=1000), "checkpoint after step 1,000"),
        (pb.JobEvent(kind=Kind.RESUMED, steps_done=8, reason="SIGKILL"), "goes on after step 8: S"),
        (pb.JobEvent(kind=Kind.FAILED, reason="diverged"), "failed: diverged"),
        (
            pb.JobEvent(kind=Kind.FINISHED, steps_done=20, trained=trained),
            "finished after step 20; warning: dark",
        ),
        (
            pb.JobEvent(kind=Kind.FINISHED, evaluated=evaluated),
            "finished: accuracy 0.75 over 1,234 samples",
        ),
        (pb.JobEvent(kind=Kind.CANCELLED, steps_done=7), "cancelled"),
    ):
        assert jobs_text.line(event).startswith(words)
        assert jobs_text.event_described(event)["steps_done"] == event.steps_done
    for number in pb.JobEvent.Kind.values():
        assert jobs_text.line(pb.JobEvent(kind=number))


def test_jobs_of_one_id_are_followed_on_several_agents() -> None:
    class Refuses(Agent):
        def watch_job(self, job_id: str, from_sequence: int = 0) -> Iterator[pb.JobEvent]:
            raise RemoteError("not known")
            yield

    found = list(follow_all({"a": Agent(), "b": Refuses(), "c": Agent()}, "3"))
    for name in "ac":
        assert [event for agent, event in found if agent == name] == EVENTS
    assert [str(event) for agent, event in found if agent == "b"] == ["not known"]


def test_a_round_of_a_gossip_run_in_a_line() -> None:
    done = pb.GossipEvent(
        state=pb.GossipEvent.ROUND_DONE,
        round=3,
        train_loss=0.5,
        train_metrics={"accuracy": 0.75},
        missing=["c"],
    )
    event = pb.JobEvent(kind=Kind.ROUND, gossip=done, rounds_done=3)
    assert jobs_text.line(event) == "round 3, loss 0.5000, accuracy 0.750, without c"
    assert jobs_text.event_described(event)["gossip"]["state"] == "round_done"
    back = pb.JobEvent(kind=Kind.RESUMED, rounds_done=3, steps_done=90, reason="it was killed")
    assert jobs_text.line(back) == "goes on after round 3, step 90: it was killed"
