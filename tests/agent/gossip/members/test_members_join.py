"""Agents on loopback, over devices whose training is a known function: another joins them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_members import (
    PATIENCE_S,
    Gate,
    State,
    begun,
    counted_once,
    equal,
    member_plan,
    simulated,
    until,
    until_believed,
)
from gossip_ring import NAMES, Agent, done, manifest_of, plan_of

from tfplus.errors import DataError, RemoteError, UsageError
from tfplus.gossip.membership.topology import ring
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage.gossip_journal import RunJournal

FINISHED = pb.GossipEvent.FINISHED


@pytest.fixture
def late(tmp_path: Path, toy: Any) -> Iterator[Agent]:
    agent = Agent("e", tmp_path / "e", manifest_of("e", toy.manifest))
    yield agent
    agent.down()


def test_one_joins_a_run_under_way(agents: dict[str, Agent], late: Agent) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=6, keep_snapshots=True)
    where = f"127.0.0.1:{late.port}"
    plan = agents["b"].runner.admit("run", "e", where)
    assert agents["b"].runner.admit("run", "e", where) == plan
    until_believed(agents.values(), "e", State.LEFT)
    own = late.device.values
    held = Gate([late], 3)
    # Behind round 2: the others are in the middle of round 3.
    assert late.runner.start(plan) == 3
    held.reached()
    # Its neighbours on the ring are d and a; what none of them holds others give.
    taken = late.runner.snapshot(2)
    near = agents["d"].runner.snapshot(2)
    for name in set(near) & set(own):
        np.testing.assert_array_equal(taken[name], near[name])
    of_a = agents["a"].runner.snapshot(2)
    of_c = agents["c"].runner.snapshot(2)
    for name, source in {"task/0/dense/kernel": near, "task/9/dense/kernel": near}.items():
        np.testing.assert_array_equal(taken[name], source[name])
    five = "task/5/dense/kernel"
    assert five not in near
    assert five not in of_a
    by_others = [agents["b"].runner.snapshot(2)[five], of_c[five]]
    assert any(np.array_equal(taken[five], value) for value in by_others)
    until_believed(agents.values(), "e", State.ALIVE)
    before = {n: a.runner.snapshot(2) for n, a in (agents | {"e": late}).items()}
    gate.open()
    held.open()
    expected = simulated(before, ring((*NAMES, "e")), 3, 4)
    for name, agent in (agents | {"e": late}).items():
        events = agent.events()
        assert events[-1].state == FINISHED
        assert counted_once(events)
        equal(agent.device.values, expected.tensors[name])
    assert [e.round for e in done(late.events())] == [3, 4, 5, 6]
    assert "e" in done(agents["a"].events())[2].responders


def test_who_joined_and_died_goes_on_where_it_joined(agents: dict[str, Agent], late: Agent) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=6, round_timeout_s=2.0)
    plan = agents["b"].runner.admit("run", "e", f"127.0.0.1:{late.port}")
    held = Gate([late], 3)
    assert late.runner.start(plan) == 3
    held.reached()
    taken = late.runner.snapshot(2)
    late.crash()
    late.down()
    # What the members have by then is not taken over once more.
    go_on = threading.Event()
    late.prepare = lambda device: setattr(device, "hold", go_on)
    late.boot()
    assert late.device.training.wait(PATIENCE_S)
    assert late.run.resumed_at == 3
    equal(late.runner.snapshot(2), taken)
    until_believed(agents.values(), "e", State.ALIVE)
    for one in (gate, held):
        one.open()
    go_on.set()
    for agent in (*agents.values(), late):
        events = agent.events()
        assert events[-1].state == FINISHED
        assert counted_once(events)
    assert {e.round for e in done(late.events())} <= {3, 4, 5, 6}


def on_disk(agent: Agent) -> list[list[str]]:
    """Who was admitted, as journal and job of the run have it."""
    journal = RunJournal.read(agent.device.state_dir / "gossip", "run", mend=False)
    assert journal is not None
    job = next(j for j in agent.jobs.statuses() if j.id == "run")
    plans = (journal.plan, job.spec.gossip)
    return [[one.name for one in plan.membership.admitted] for plan in plans]


def test_who_joined_is_known_to_agents_that_were_started_again(
    agents: dict[str, Agent], late: Agent
) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=8, round_timeout_s=2.0)
    plan = agents["b"].runner.admit("run", "e", f"127.0.0.1:{late.port}")
    held = Gate([late], 3)
    late.runner.start(plan)
    held.reached()
    until_believed(agents.values(), "e", State.ALIVE)
    for agent in agents.values():
        until(lambda agent=agent: on_disk(agent) == [["e"], ["e"]], "it is on disk")
    agents["a"].crash()
    agents["a"].down()
    agents["a"].boot()
    again = Gate([agents["a"]], 1)
    until_believed([agents["a"]], "e", State.ALIVE)
    for one in (gate, held, again):
        one.open()
    for agent in (*agents.values(), late):
        assert agent.events()[-1].state == FINISHED
    # Whoever starts the run again without knowing of it does not lose it.
    assert agents["a"].runner.start(member_plan(agents, "a", rounds=8, round_timeout_s=2.0)) == 9


def test_who_cannot_join_is_told_why(agents: dict[str, Agent], late: Agent) -> None:
    gate = Gate(agents.values(), 2)
    begun(agents, gate)
    a, where = agents["a"], f"127.0.0.1:{late.port}"
    with pytest.raises(DataError, match="'other' is not under way on this agent"):
        a.runner.admit("other", "e", where)
    with pytest.raises(UsageError, match="'c' is a member of the run already, at 127"):
        a.runner.admit("run", "c", where)
    with pytest.raises(UsageError, match="'a' is a member of the run already"):
        a.runner.admit("run", "a", where)
    with pytest.raises(UsageError, match="host:port"):
        a.runner.admit("run", "e", "nowhere")
    with pytest.raises(UsageError, match="not loopback"):
        a.runner.admit("run", "e", "192.0.2.1:7001")
    with pytest.raises(UsageError, match="printable"):
        a.runner.admit("run", "\n", where)
    # Whom nobody admitted gets nothing.
    plan = member_plan(agents, "a")
    plan.membership.admitted.add(name="e", address=where)
    plan.membership.joins = True
    with pytest.raises(RemoteError, match=r"no member answers: .*'e' is not a member"):
        late.runner.start(plan)
    gate.open()
    assert a.events()[-1].state == FINISHED
    with pytest.raises(DataError, match="is not under way"):
        a.runner.admit("run", "e", where)


def test_fixed_neighbours_let_nobody_join(agents: dict[str, Agent]) -> None:
    gate = Gate([agents["a"]], 1)
    for name, agent in agents.items():
        agent.runner.start(plan_of(agents, name))
    gate.reached()
    with pytest.raises(UsageError, match="started without membership"):
        agents["a"].runner.admit("run", "e", "127.0.0.1:7")
    assert agents["a"].runner.members() == []
    gate.open()
