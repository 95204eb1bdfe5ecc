"""Runs whose members come and go: plans, runs that are held in a round, and what is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from gossip_ring import COUNTS, Agent, plan_of, slices_of, trained

from tfplus.gossip.membership.topology import Graph
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors

PATIENCE_S = 60.0
SEED = 5
State = pb.GossipMember


def member_plan(agents: Mapping[str, Agent], name: str, **changes: Any) -> pb.GossipPlan:
    """A plan of a ring whose members are these agents."""
    members = [{"name": n, "address": f"127.0.0.1:{a.port}"} for n, a in agents.items()]
    membership = {"members": members, "topology": "ring", "period_s": 0.5}
    return plan_of(agents, name, **{"membership": membership, "seed": SEED, **changes})


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until something holds; fails where that takes too long."""
    never, waited_s = threading.Event(), 0.0
    while not holds():
        assert waited_s < PATIENCE_S, f"not within {PATIENCE_S:g} s: {what}"
        never.wait(0.02)
        waited_s += 0.02


def believed(agent: Agent, name: str) -> int:
    """What an agent believes of another."""
    members = agent.runner.members()
    return next((m.state for m in members if m.name == name), State.STATE_UNSPECIFIED)


def until_believed(agents: Iterable[Agent], name: str, *states: int) -> None:
    """Waits until all of them believe one of these of another."""
    agents = list(agents)
    said = [State.State.Name(s) for s in states]
    until(lambda: all(believed(a, name) in states for a in agents), f"'{name}' is {said}")


class Gate:
    """Holds devices in the training of a round, until it is opened.

    Args:
      agents: whose devices.
      round: in which they are held.
    """

    def __init__(self, agents: Iterable[Agent], round: int) -> None:
        self._agents = list(agents)
        self._open = threading.Event()
        self._reached = {agent.name: threading.Event() for agent in self._agents}
        for agent in self._agents:
            self._hold(agent, round)

    def _hold(self, agent: Agent, round: int) -> None:
        device = agent.device

        def wait() -> None:
            if not self._open.is_set() and agent.run.round >= round:
                self._reached[agent.name].set()
                device.hold = self._open

        device.on_train = wait

    def reached(self) -> None:
        """Waits until all are there."""
        for name, event in self._reached.items():
            assert event.wait(PATIENCE_S), f"'{name}' has not come to its round"

    def open(self) -> None:
        """Lets all go on."""
        self._open.set()


def simulated(
    starts: Mapping[str, Tensors], links: Graph, first_round: int, rounds: int
) -> simulation.Result:
    """What rounds come to with links that stay, from given weights.

    Args:
      starts: agent → its weights before the first of them.
      links: agent → its neighbours.
      first_round: its number in the run, which the training depends on.
      rounds: how many.
    """

    def node(name: str) -> simulation.Node:
        def train(round: int, tensors: Tensors) -> Tensors:
            return trained(name, SEED * 1_000_003 + first_round - 1 + round, tensors)

        weights = slice_weights(slices_of(name), sum(COUNTS[name].values()))
        return simulation.Node(links[name], starts[name], weights, train)

    return simulation.simulate({name: node(name) for name in starts}, rounds=rounds)


def counted_once(events: Iterable[pb.GossipEvent]) -> bool:
    """Whether no contribution went into two averages."""
    counted = [(one.peer, one.round) for event in events for one in event.counted]
    return len(set(counted)) == len(counted)


def begun(agents: dict[str, Agent], gate: Gate, **changes: Any) -> None:
    for name, agent in agents.items():
        assert agent.runner.start(member_plan(agents, name, **changes)) == 0
    gate.reached()


def equal(found: Tensors, expected: Tensors) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
