"""Agents on loopback, over devices whose training is a known function: one is gone, comes, goes."""

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
    believed,
    counted_once,
    member_plan,
    simulated,
    until,
    until_believed,
)
from gossip_ring import NAMES, Agent, done, manifest_of, plan_of

from tfplus.errors import DataError, RemoteError, UsageError
from tfplus.gossip.membership.topology import ring
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus_agent.storage.gossip_journal import RunJournal

FINISHED = pb.GossipEvent.FINISHED
OTHERS = ("a", "b", "d")


def begun(agents: dict[str, Agent], gate: Gate, **changes: Any) -> None:
    for name, agent in agents.items():
        assert agent.runner.start(member_plan(agents, name, **changes)) == 0
    gate.reached()


def equal(found: Tensors, expected: Tensors) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


@pytest.fixture
def late(tmp_path: Path, toy: Any) -> Iterator[Agent]:
    agent = Agent("e", tmp_path / "e", manifest_of("e", toy.manifest))
    yield agent
    agent.down()


def test_while_all_are_there_it_is_a_ring_as_ever(agents: dict[str, Agent]) -> None:
    starts = {name: agent.device.values for name, agent in agents.items()}
    for name, agent in agents.items():
        agent.runner.start(member_plan(agents, name))
    expected = simulated(starts, ring(NAMES), 1, 4)
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED
        assert [list(e.responders) for e in done(events)] == [sorted(ring(NAMES)[name])] * 4
        others = [n for n in NAMES if n != name]
        assert [m.name for m in done(events)[-1].members] == others
        equal(agent.device.values, expected.tensors[name])
        assert agent.runner.members() == []


def test_who_was_not_told_of_the_run_yet_is_not_held_for_dead(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    gate = Gate([a], 1)
    a.runner.start(member_plan(agents, "a"))
    gate.reached()
    members = a.run.members
    assert members is not None
    # Each of them was asked more than once.
    node = members._member._node
    until(lambda: node._period > 8, "its periods")
    assert [m.state for m in members.states()] == [State.ALIVE] * 3
    # One whose agent is not there at all is.
    agents["d"].down_now()
    until_believed([a], "d", State.SUSPECT, State.DEAD)
    gate.open()


def test_links_close_over_one_that_died(agents: dict[str, Agent]) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=6, keep_snapshots=True)
    agents["c"].crash()
    left = {name: agents[name] for name in OTHERS}
    until_believed(left.values(), "c", State.DEAD)
    before = {name: agent.runner.snapshot(2) for name, agent in left.items()}
    gate.open()
    expected = simulated(before, ring(OTHERS), 3, 4)
    for name, agent in left.items():
        events = agent.events()
        assert events[-1].state == FINISHED
        for event in done(events)[2:]:
            assert list(event.responders) == sorted(ring(OTHERS)[name])
            assert not event.missing
        equal(agent.device.values, expected.tensors[name])
        news = list(done(events)[2].member_news)
        assert "'c' is held for dead" in news
        members = {m.name: m.state for m in done(events)[-1].members}
        assert members == {n: State.DEAD if n == "c" else State.ALIVE for n in NAMES if n != name}
    assert "linked with a, d" in done(left["b"].events())[2].member_news


def test_one_that_comes_back_is_linked_again_and_counts_once(agents: dict[str, Agent]) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=9, round_timeout_s=2.0)
    left = [agents[name] for name in OTHERS]
    agents["c"].crash()
    until_believed(left, "c", State.DEAD)
    later = Gate(left, 5)
    gate.open()
    later.reached()
    # It dies in round 3, and comes back while the others are in round 5.
    agents["c"].down()
    agents["c"].boot()
    until_believed(left, "c", State.ALIVE)
    later.open()
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED, name
        assert counted_once(events), name
    rounds = {e.round: e for e in done(agents["b"].events())}
    assert list(rounds[4].responders) == ["a", "d"]
    assert "c" in {peer for e in rounds.values() if e.round >= 5 for peer in e.responders}
    # With a life of its own: what it said before it died is of another.
    lives = {(o.peer, o.incarnation) for e in rounds.values() for o in e.counted if o.peer == "c"}
    assert ("c", 2) in lives


def test_one_that_leaves_says_so_and_is_not_waited_for(agents: dict[str, Agent]) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=5)
    assert agents["c"].runner.stop("run")
    left = [agents[name] for name in OTHERS]
    until_believed(left, "c", State.LEFT, State.DEAD)
    # Those who were told by itself know that it did not die.
    assert State.LEFT in {believed(agent, "c") for agent in left}
    gate.open()
    for name in OTHERS:
        events = agents[name].events()
        assert events[-1].state == FINISHED
        assert not any(e.missing for e in done(events)[2:])
    # It can be gone on with, and finds those who have finished.
    assert agents["c"].runner.start(member_plan(agents, "c", rounds=5)) == 3
    assert agents["c"].events()[-1].state == FINISHED


def test_a_goodbye_does_not_wait_for_the_end_of_a_step(agents: dict[str, Agent]) -> None:
    in_step, go_on = threading.Event(), threading.Event()

    def step() -> None:
        in_step.set()
        # Longer than the others are waited for below.
        go_on.wait(2 * PATIENCE_S)

    agents["c"].device.on_train = step
    others = [agents[name] for name in OTHERS]
    gate = Gate(others, 1)
    for name, agent in agents.items():
        agent.runner.start(member_plan(agents, name))
    gate.reached()
    assert in_step.wait(PATIENCE_S)
    agents["c"].run.stop()
    until_believed(others, "c", State.LEFT, State.DEAD)
    assert not go_on.is_set()
    go_on.set()
    gate.open()
    for agent in others:
        assert agent.events()[-1].state == FINISHED


def test_one_that_is_held_says_goodbye_and_is_there_again_in_the_same_life(
    agents: dict[str, Agent],
) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=6, round_timeout_s=2.0)
    left = [agents[name] for name in OTHERS]
    assert agents["c"].jobs.pause("run")
    until_believed(left, "c", State.LEFT, State.DEAD)
    assert agents["c"].jobs.resume("run")
    until_believed(left, "c", State.ALIVE)
    gate.open()
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED, name
        assert counted_once(events), name


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
