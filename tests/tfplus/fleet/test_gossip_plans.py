"""What `tfplus gossip` tells each agent of its topology and its mixing."""

from __future__ import annotations

import pytest

from tfplus.errors import UsageError
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.gossip.membership import registry
from tfplus.proto.v1 import agent_pb2 as pb

NAMES = ("a", "b", "c", "d", "e", "f")


def session(**options: object) -> GossipSession:
    made = GossipSession(["127.0.0.1:1"], RunOptions(run_id="r", rounds=2, seed=7, **options))  # type: ignore[arg-type]
    made.addresses = {name: f"127.0.0.1:{7001 + i}" for i, name in enumerate(NAMES)}
    return made


@pytest.mark.parametrize("topology", registry.GRAPHS)
def test_every_agent_is_told_its_neighbours_of_the_topology(topology: str) -> None:
    of = session(topology=topology)
    graph = registry.graph(topology, NAMES, seed=7)
    for name in NAMES:
        plan = of.plan(name)
        assert tuple(n.name for n in plan.neighbours) == graph[name]
        assert all(n.address == of.addresses[n.name] for n in plan.neighbours)


def test_a_ring_and_metropolis_are_told_as_they_always_were() -> None:
    plan = session().plan("a")
    assert [n.name for n in plan.neighbours] == ["f", "b"]
    assert plan.mixing == ""
    assert session(mixing="clipped").plan("a").mixing == "clipped"


def test_a_topology_that_agents_cannot_have_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of ring"):
        session(topology="one-peer-exponential").plan("a")


def test_a_codec_is_told_and_float32_as_it_always_was() -> None:
    assert session().plan("a").codec == ""
    assert session(codec="top-k:0.05").plan("a").codec == "top-k:0.05"


@pytest.mark.parametrize(
    ("codec", "known", "refused"),
    [
        ("float32", [], False),
        ("int8", ["float32", "int8"], False),
        ("top-k:0.05", ["float32", "top-k"], False),
        ("int8", [], True),
        ("top-k:0.05", ["float32", "int8"], True),
    ],
)
def test_an_agent_that_does_not_know_the_codec_is_named(
    codec: str, known: list[str], refused: bool
) -> None:
    status = pb.AgentStatus(name="c", version="0.1", gossip_codecs=known)
    if not refused:
        RunOptions("r", 1, codec=codec).check_known_to(status)
        return
    with pytest.raises(UsageError, match=f"agent 'c' does not know the codec '{codec}': .*float32"):
        RunOptions("r", 1, codec=codec).check_known_to(status)


def test_members_are_told_in_the_order_of_the_topology() -> None:
    of = session(topology="random-regular", degree=3, membership="swim", probe_period_s=0.5)
    plans = [of.plan(name) for name in NAMES]
    for plan in plans:
        told = plan.membership
        assert {n.name: n.address for n in told.members} == of.addresses
        assert [n.name for n in told.members] == list(NAMES)
        assert (told.topology, told.degree, told.period_s) == ("random-regular", 3, 0.5)
        assert not plan.neighbours
        assert not told.joins
    assert not session().plan("a").HasField("membership")


def test_an_agent_that_knows_of_no_membership_is_named() -> None:
    old, new = pb.AgentStatus(name="c", version="0.1"), pb.AgentStatus(gossip_membership=True)
    RunOptions("r", 1, membership="swim").check_known_to(new)
    RunOptions("r", 1).check_known_to(old)
    with pytest.raises(UsageError, match="agent 'c' does not know of members that come and go"):
        RunOptions("r", 1, membership="swim").check_known_to(old)
