"""What a gossip run tells as a job when its worker or its agent was killed, and counts."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from gossip_jobs import (
    TIMEOUT_S,
    Kind,
    alone,
    assert_holds,
    held_in,
    job_events,
    status_of,
    undisturbed,
)
from gossip_ring import NAMES, QUICK, Agent, done, plan_of, start_all

from tfplus.errors import WorkerError
from tfplus.gossip.membership.member import Member
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.protocol import Delivered
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash
from tfplus_agent.gossip.links import Link


def test_a_dead_worker_is_told_with_how_and_counted(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    deaths = iter([None, WorkerError("killed by signal 9"), None, None, None])
    a.device.on_train = lambda: setattr(a.device, "failure", next(deaths))
    a.runner.start(alone())
    events = job_events(a.jobs, "alone")
    (back,) = [e for e in events if e.kind == Kind.RESUMED]
    assert (back.rounds_done, back.reason) == (1, "killed by signal 9")
    assert status_of(a.jobs, "alone").restarts == 1


def test_a_killed_agent_tells_what_its_events_lack_and_goes_on(agents: dict[str, Agent]) -> None:
    a, expected = agents["a"], undisturbed(agents["a"].device)
    reached, _ = held_in(a.device, 3)
    a.runner.start(alone())
    assert reached.wait(TIMEOUT_S)
    a.down_now()
    a.down()
    # Killed when the second round was in the run's journal, and not yet among the job's events.
    told = a.device.state_dir / "jobs" / "alone" / "events.jsonl"
    lines = told.read_bytes().splitlines(keepends=True)
    assert b'"ROUND"' in lines[-1]
    told.write_bytes(b"".join(lines[:-1]))
    a.prepare = lambda device: setattr(device, "values", dict.fromkeys(expected, np.zeros(6)))
    a.boot()
    events = job_events(a.jobs, "alone")
    assert [e.gossip.round for e in events if e.kind == Kind.ROUND] == [1, 2, 3, 4]
    (back,) = [e for e in events if e.kind == Kind.RESUMED]
    assert "the agent was ended, or killed" in back.reason
    assert [e.sequence for e in events] == sorted({e.sequence for e in events})
    assert_holds(a.device, expected)


def test_who_comes_back_after_the_end_says_that_the_run_is_over(agents: dict[str, Agent]) -> None:
    few: dict[str, Any] = {"rounds": 6, "round_timeout_s": 1.0}
    c = agents["c"]
    reached, _ = held_in(c.device, 2)
    start_all(agents, **few)
    assert reached.wait(TIMEOUT_S)
    c.down_now()
    for name in ("b", "d"):
        assert agents[name].events()[-1].state == pb.GossipEvent.FINISHED
    # Also where they were started anew since.
    agents["b"].down()
    agents["b"].boot()
    c.down()
    c.boot()
    *_, end = c.events()
    assert end.state == pb.GossipEvent.FINISHED
    assert end.round < 6
    assert "had finished round 6 without it" in end.error
    assert "the run is over" in status_of(c.jobs, "run").note
    assert set(end.slice_weights.values()) == {0.0}, "the others have what is newer"


def test_what_one_life_counted_does_not_count_in_the_next(agents: dict[str, Agent]) -> None:
    """A neighbour that got no answer, as the agent was killed, sends its contribution again."""
    a, b = agents["a"], agents["b"].device
    plan = plan_of({"a": a, "b": agents["b"]}, "a", rounds=2, round_timeout_s=1.0)
    tensors = SliceSet(b.values)
    said = RoundContribution(
        "b", 1, 1, 1, tensors, dict.fromkeys(tensors, 1.0), schema_hash(tensors)
    )

    def say() -> Delivered:
        link = Link(backoff=QUICK).to(
            [Member("a", f"127.0.0.1:{a.port}")], "run", threading.Event(), Traffic()
        )["a"]
        try:
            return link.send(said, time.monotonic() + TIMEOUT_S).outcome
        finally:
            link.close()

    reached, _ = held_in(a.device, 2)
    a.runner.start(plan)
    assert say() is Delivered.ACCEPTED
    assert reached.wait(TIMEOUT_S)
    a.down_now()
    a.down()
    a.prepare = lambda device: setattr(device, "hold", threading.Event())
    a.boot()
    assert a.device.training.wait(TIMEOUT_S)
    assert say() is Delivered.LATE
    a.device.hold = None
    rounds = done(a.events())
    assert [[(o.peer, o.round) for o in e.counted] for e in rounds] == [[("b", 1)], []]


def test_two_lives_of_an_agent_count_no_contribution_twice(agents: dict[str, Agent]) -> None:
    c = agents["c"]
    reached, _ = held_in(c.device, 3)
    start_all(agents, rounds=8, round_timeout_s=2.0)
    assert reached.wait(TIMEOUT_S)
    c.down_now()
    c.down()
    c.boot()
    for name in NAMES:
        rounds = done(agents[name].events())
        counted = [(one.peer, one.round) for e in rounds for one in e.counted]
        assert len(counted) == len(set(counted)), name
        assert all({one.peer for one in e.counted} == set(e.responders) for e in rounds)
