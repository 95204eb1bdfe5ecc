"""Agents on loopback, over devices whose training is a known function: one is gone, comes, goes."""

from __future__ import annotations

import threading

from gossip_members import (
    PATIENCE_S,
    Gate,
    State,
    begun,
    believed,
    counted_once,
    equal,
    member_plan,
    simulated,
    until,
    until_believed,
)
from gossip_ring import NAMES, Agent, done

from tfplus.gossip.membership.topology import ring
from tfplus.proto.v1 import agent_pb2 as pb

FINISHED = pb.GossipEvent.FINISHED
OTHERS = ("a", "b", "d")


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
    # It can be gone on with, and takes over what those have who have finished.
    assert agents["c"].runner.start(member_plan(agents, "c", rounds=5)) == 6
    end = agents["c"].events()[-1]
    assert (end.state, end.round) == (FINISHED, 2)


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
