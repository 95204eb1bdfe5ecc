"""From the first round on a neighbour gets what it holds, where the plan says what that is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from gossip_ring import COUNTS, NAMES, Agent, plan_of, slices_of, trained

from tfplus.gossip.membership.topology import ring
from tfplus.gossip.messages import Answer, RoundContribution
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.proto.v1 import agent_pb2 as pb


def plan_with_slices(agents: dict[str, Agent], name: str) -> pb.GossipPlan:
    plan = plan_of(agents, name)
    for neighbour in plan.neighbours:
        both = set(slices_of(name)) & set(slices_of(neighbour.name))
        neighbour.slices.extend(sorted(both))
    return plan


@pytest.mark.parametrize("codec", ["", "int8"])
def test_a_neighbour_never_gets_what_it_lacks(agents: dict[str, Agent], codec: str) -> None:
    nodes = {
        name: simulation.Node(
            ring(NAMES)[name],
            agent.device.values,
            slice_weights(slices_of(name), sum(COUNTS[name].values())),
            lambda round, tensors, name=name: trained(name, 5 * 1_000_003 + round, tensors),
        )
        for name, agent in agents.items()
    }
    expected = simulation.simulate(nodes, rounds=4).tensors
    came: list[tuple[str, str, int, frozenset[str]]] = []
    held = {name: threading.Event() for name in agents}
    for name, agent in agents.items():
        agent.device.hold = held[name]
        plan = plan_with_slices(agents, name)
        plan.codec = codec
        agent.runner.start(plan)
        assert agent.device.training.wait(20)
        mailbox = agent.run.mailbox

        def noted(
            said: RoundContribution,
            name: str = name,
            put: Callable[[RoundContribution], Answer] = mailbox.put,
        ) -> Answer:
            came.append((said.peer, name, said.round, frozenset(said.tensors)))
            return put(said)

        mailbox.put = noted  # type: ignore[method-assign]
    for event in held.values():
        event.set()
    for name, agent in agents.items():
        assert agent.events()[-1].state == pb.GossipEvent.FINISHED
        # Slices of 6 values cross as float32 in every codec.
        for slice_name, tensor in expected[name].items():
            np.testing.assert_array_equal(agent.device.values[slice_name], tensor)
    assert {(sender, to, round) for sender, to, round, _ in came} == {
        (a, b, round) for a in NAMES for b in ring(NAMES)[a] for round in (1, 2, 3, 4)
    }
    for sender, to, _, names in came:
        assert names == set(slices_of(sender)) & set(slices_of(to))


def test_who_does_not_say_it_starts_no_other_run(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    a.runner.start(plan_with_slices(agents, "a"))
    assert a.device.training.wait(20)
    run = a.run
    assert a.runner.start(plan_of(agents, "a")) == 0
    assert a.run is run
    assert not run._cancelled.is_set()
