"""Agents on loopback: one that has missed rounds takes over what members have."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from gossip_members import (
    PATIENCE_S,
    Gate,
    State,
    begun,
    counted_once,
    equal,
    member_plan,
    until,
    until_believed,
)
from gossip_ring import Agent, done

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors

FINISHED = pb.GossipEvent.FINISHED
OTHERS = ("a", "b", "d")


def died_in_round_3(agents: dict[str, Agent], rounds: int) -> Gate:
    """Agents of which c is dead, and is held for it; the others are held in round 3."""
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=rounds, round_timeout_s=2.0)
    agents["c"].crash()
    until_believed([agents[name] for name in OTHERS], "c", State.DEAD)
    agents["c"].down()
    return gate


def taken(after: Tensors, givers: Mapping[str, Tensors]) -> None:
    """Holds that every slice that somebody else has is that of one of them."""
    for name, tensor in after.items():
        held = [one[name] for one in givers.values() if name in one]
        assert not held or any(np.array_equal(tensor, other) for other in held), name


def test_who_comes_back_when_all_have_finished_takes_over_what_they_have(
    agents: dict[str, Agent],
) -> None:
    gate = died_in_round_3(agents, rounds=6)
    gate.open()
    for name in OTHERS:
        assert agents[name].events()[-1].state == FINISHED
    ends = {name: agents[name].device.values for name in OTHERS}
    agents["c"].boot()
    end = agents["c"].events()[-1]
    assert (end.state, end.round) == (FINISHED, 2)
    over = "when it had finished round 2: the run is over; it has taken over 5 slices from members"
    assert over in end.error
    assert "as they stand behind round 6" in end.error
    taken(agents["c"].device.values, ends)
    # Of the ring's neighbours, the nearest.
    shared = "shared/conv/kernel"
    np.testing.assert_array_equal(agents["c"].device.values[shared], ends["b"][shared])
    assert set(end.slice_weights.values()) == {0.0}
    # What its own rounds were stays as it was.
    assert not np.array_equal(agents["c"].runner.snapshot(2)[shared], ends["b"][shared])


def test_who_comes_back_far_behind_goes_on_where_members_are(agents: dict[str, Agent]) -> None:
    gate = died_in_round_3(agents, rounds=10)
    left = [agents[name] for name in OTHERS]
    later = Gate(left, 7)
    gate.open()
    later.reached()
    givers = {name: agents[name].runner.snapshot(6) for name in OTHERS}
    again = threading.Event()
    agents["c"].prepare = lambda device: setattr(device, "hold", again)
    agents["c"].boot()
    assert agents["c"].device.training.wait(PATIENCE_S)
    taken(agents["c"].device.values, givers)
    assert agents["c"].run.resumed_at == 7
    until_believed(left, "c", State.ALIVE)
    later.open()
    again.set()
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED, name
        assert not events[-1].error
        assert counted_once(events), name
    assert [e.round for e in done(agents["c"].events())] == [1, 2, 7, 8, 9, 10]
    assert "c" in done(agents["b"].events())[6].responders


def test_who_was_held_up_takes_over_before_it_averages_again(agents: dict[str, Agent]) -> None:
    held = Gate([agents["c"]], 3)
    left = [agents[name] for name in OTHERS]
    later = Gate(left, 8)
    for name, agent in agents.items():
        agent.runner.start(member_plan(agents, name, rounds=10, round_timeout_s=2.0))
    held.reached()
    later.reached()
    until(lambda: heard(agents["c"], 7), "'c' has heard of round 7")
    givers = {name: agents[name].runner.snapshot(7) for name in OTHERS}
    before: list[Tensors] = []
    agents["c"].device.on_train = lambda: before.append(agents["c"].device.values)
    held.open()
    until(lambda: bool(before), "'c' trains the next round")
    taken(before[0], givers)
    later.open()
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED, name
        assert counted_once(events), name
    rounds = done(agents["c"].events())
    assert [e.round for e in rounds] == [1, 2, 3, 8, 9, 10]
    assert "away from round 4 to 7: it has taken over 5 slices" in rounds[3].error


def test_a_round_or_two_are_not_far_behind(agents: dict[str, Agent]) -> None:
    gate = died_in_round_3(agents, rounds=6)
    left = [agents[name] for name in OTHERS]
    later = Gate(left, 5)
    gate.open()
    later.reached()
    own = agents["c"].runner.snapshot(2)
    again = threading.Event()
    agents["c"].prepare = lambda device: setattr(device, "hold", again)
    agents["c"].boot()
    assert agents["c"].device.training.wait(PATIENCE_S)
    equal(agents["c"].device.values, own)
    assert agents["c"].run.resumed_at == 3
    later.open()
    again.set()
    for name, agent in agents.items():
        assert agent.events()[-1].state == FINISHED, name


def test_who_hears_nobody_does_not_go_through_its_rounds_alone(agents: dict[str, Agent]) -> None:
    gate = Gate(agents.values(), 3)
    begun(agents, gate, rounds=60, round_timeout_s=2.0)
    for name in OTHERS:
        agents[name].crash()
        agents[name].down()
    gate.open()
    until(lambda: len(alone_in(agents["c"])) >= 2, "two rounds alone")
    for name in OTHERS:
        agents[name].boot()
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == FINISHED, name
        assert not events[-1].error
        assert counted_once(events), name
    assert len(alone_in(agents["c"])) < 30
    assert {*done(agents["c"].events())[-1].responders} == {"b", "d"}


def alone_in(agent: Agent) -> list[int]:
    """Rounds that an agent has done with nobody."""
    return [e.round for e in agent.run.journal.events if e.round and not e.responders]


def heard(agent: Agent, round: int) -> bool:
    """Whether both neighbours of c have brought a round."""
    peers = agent.run._state.peers
    return all(peers[name].latest_round >= round for name in ("b", "d"))
