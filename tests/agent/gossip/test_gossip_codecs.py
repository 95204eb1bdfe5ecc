"""Agents that send differences in a codec: beside float32, over deaths, and against poison."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gossip_ring
import numpy as np
import pytest
from gossip_jobs import held_in
from gossip_ring import (
    COUNTS,
    NAMES,
    QUICK,
    Agent,
    done,
    manifest_of,
    plan_of,
    slices_of,
    start_all,
)

from tfplus.errors import UsageError
from tfplus.gossip.compression.choosing import choice
from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.gossip.transport.protocol import Delivered
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors, schema_hash
from tfplus_agent.gossip.links import Link

TIMEOUT_S = 20
SIZE = 4000
Train = Callable[[str, int, Tensors], dict[str, np.ndarray]]


@pytest.fixture
def large(tmp_path: Path, toy: Any) -> Iterator[dict[str, Agent]]:
    """The ring with slices that are worth a codec."""
    made = {n: Agent(n, tmp_path / n, manifest_of(n, toy.manifest, SIZE)) for n in NAMES}
    yield made
    for agent in made.values():
        agent.down()


def in_float32(agents: dict[str, Agent], rounds: int, train: Train) -> Any:
    """What a simulation of the same ring ends with, where all is sent as it is."""
    nodes = {
        name: simulation.Node(
            ring(NAMES)[name],
            agent.device.values,
            slice_weights(slices_of(name), sum(COUNTS[name].values())),
            lambda round, tensors, name=name: train(name, 5 * 1_000_003 + round, tensors),
        )
        for name, agent in agents.items()
    }
    return simulation.simulate(nodes, rounds=rounds).tensors


def settling(name: str, seed: int, tensors: Tensors) -> dict[str, np.ndarray]:
    """Training towards weights that are another vector on every device, the same each round."""
    goal = np.random.default_rng(ord(name)).normal(size=SIZE).astype(np.float32)
    return {n: (t + np.float32(0.5) * (goal - t)).astype(np.float32) for n, t in tensors.items()}


def start_together(agents: dict[str, Agent], **changes: Any) -> None:
    """Lets nobody train before all have begun: who is not there yet is sent to again and again."""
    held = {name: threading.Event() for name in agents}
    for name, agent in agents.items():
        agent.device.hold = held[name]
    start_all(agents, **changes)
    for agent in agents.values():
        assert agent.device.training.wait(TIMEOUT_S)
    for event in held.values():
        event.set()


def farthest(agents: dict[str, Agent], expected: Any) -> float:
    return max(
        float(np.abs(agent.device.values[n] - tensor).max())
        for name, agent in agents.items()
        for n, tensor in expected[name].items()
    )


def sent(agents: dict[str, Agent]) -> tuple[int, int]:
    """Bytes that all sent, and what float32 would have been."""
    events = [e for agent in agents.values() for e in agent.events()]
    return sum(e.bytes_sent for e in events), sum(e.bytes_sent_as_float32 for e in events)


def finished(agents: dict[str, Agent]) -> bool:
    return all(a.events()[-1].state == pb.GossipEvent.FINISHED for a in agents.values())


@pytest.mark.parametrize(("codec", "share", "near"), [("int8", 0.3, 1e-2), ("float16", 0.55, 1e-3)])
def test_a_codec_ends_near_float32_at_its_share_of_the_bytes(
    large: dict[str, Agent], codec: str, share: float, near: float
) -> None:
    expected = in_float32(large, 8, gossip_ring.trained)
    start_together(large, rounds=8, codec=codec)
    assert finished(large)
    assert 0 < farthest(large, expected) < near
    coded, as_float32 = sent(large)
    assert coded < share * as_float32
    # An independent count: between what both ends hold and all that the sender holds, every time.
    links = [(a, b) for a in NAMES for b in ring(NAMES)[a]]
    shared = sum(len(set(slices_of(a)) & set(slices_of(b))) for a, b in links)
    whole = sum(len(slices_of(a)) for a, _ in links)
    assert 8 * shared * SIZE * 4 < as_float32 < 8 * whole * (SIZE * 4 + 500)


def test_auto_ends_near_float32_whatever_it_chose(large: dict[str, Agent]) -> None:
    expected = in_float32(large, 8, gossip_ring.trained)
    start_together(large, rounds=8, codec="auto")
    assert finished(large)
    assert farthest(large, expected) < 1e-2
    coded, as_float32 = sent(large)
    assert 0.2 * as_float32 < coded <= as_float32


def test_top_k_settles_where_float32_does(
    large: dict[str, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gossip_ring, "trained", settling)
    early, late = (in_float32(large, rounds, settling) for rounds in (2, 12))
    assert farthest(large, late) > 1, "it has a way to go"
    start_together(large, rounds=12, codec="top-k:0.2")
    assert finished(large)
    assert farthest(large, late) < 0.03 < 1 < farthest(large, early)
    coded, as_float32 = sent(large)
    assert coded < 0.55 * as_float32


def test_no_contribution_is_counted_twice_where_an_agent_dies_in_between(
    large: dict[str, Agent],
) -> None:
    c = large["c"]
    reached, _ = held_in(c.device, 3)
    start_all(large, rounds=8, round_timeout_s=2.0, codec="int8")
    assert reached.wait(TIMEOUT_S)
    c.down_now()
    c.down()
    c.boot()
    assert finished(large)
    for name in NAMES:
        rounds = done(large[name].events())
        counted = [(one.peer, one.round) for e in rounds for one in e.counted]
        assert len(counted) == len(set(counted)), name
        assert not [e.error for e in rounds if " refused: " in e.error]


def poisoned(link: Any, scale: float) -> None:
    """Makes a link send another scale than that of its values."""
    pack = link._carrier._packed

    def with_scale(contribution: RoundContribution) -> Any:
        sent = pack(contribution)
        name, coded = next(iter(sent.packed.tensors.items()))
        encoded = dataclasses.replace(coded.encoded, scale=scale)
        tensors = {**sent.packed.tensors, name: dataclasses.replace(coded, encoded=encoded)}
        return dataclasses.replace(sent, packed=dataclasses.replace(sent.packed, tensors=tensors))

    link._carrier._packed = with_scale


@pytest.mark.parametrize(
    ("scale", "says"),
    [(float("nan"), "finite scale above 0, got nan"), (2.0, "do not match their SHA-256")],
)
def test_a_poisoned_scale_is_refused_and_its_sender_named(
    large: dict[str, Agent], scale: float, says: str
) -> None:
    a, b = large["a"], large["b"].device
    tensors = SliceSet(b.values)
    said = RoundContribution(
        "b", 1, 1, 1, tensors, dict.fromkeys(tensors, 1.0), schema_hash(tensors)
    )
    reached, go_on = held_in(a.device, 1)
    a.runner.start(plan_of({"a": a, "b": large["b"]}, "a", rounds=1, round_timeout_s=0.5))
    assert reached.wait(TIMEOUT_S)
    link = Link(backoff=QUICK).to(
        [Member("a", f"127.0.0.1:{a.port}")],
        "run",
        threading.Event(),
        Traffic(),
        choice=choice("int8"),
    )["a"]
    poisoned(link, scale)
    delivery = link.send(said, time.monotonic() + TIMEOUT_S)
    link.close()
    assert delivery.outcome is Delivered.REFUSED
    go_on()
    (round_done,) = done(a.events())
    assert not round_done.counted
    assert "'b' refused: " in round_done.error
    assert says in round_done.error


def test_a_run_with_another_codec_is_another_run(large: dict[str, Agent]) -> None:
    a = large["a"]
    plan = pb.GossipPlan(run_id="x", rounds=1, epochs_per_round=1, round_timeout_s=1, codec="int8")
    a.runner.start(plan)
    assert a.events("x")[-1].state == pb.GossipEvent.FINISHED
    plan.codec = ""
    with pytest.raises(UsageError, match="give the same rounds, epochs, seed, codec"):
        a.runner.start(plan)
    plan.codec = "int9"
    with pytest.raises(UsageError, match=r"codec 'int9': expected one of .* did you mean int8\?"):
        a.runner.start(plan)
