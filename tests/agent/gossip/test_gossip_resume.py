"""Gossip runs that were stopped or killed go on; what is kept of them, and for how long."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_ring import (
    ACTIVE,
    NAMES,
    QUICK,
    Agent,
    FakeDevice,
    Gossip,
    done,
    manifest_of,
    plan_of,
    start_all,
    trained,
)

from tfplus.errors import DataError, UsageError
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.grpc_link import PeerLink
from tfplus.gossip.transport.protocol import Delivered
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash


def forget(device: FakeDevice) -> None:
    device.values = {n: t * 0 for n, t in device.values.items()}


def test_agent_that_died_goes_on_and_is_taken_back(agents: dict[str, Agent]) -> None:
    more: dict[str, Any] = {"rounds": 12, "round_timeout_s": 6.0}
    back = threading.Event()

    def halt_once_missed(agent: Agent) -> None:
        events = list(agent.runner.watch("run", 0, lambda: False))
        if any("c" in event.missing for event in events):
            back.wait(20)

    for name in ("b", "d"):
        agents[name].device.on_train = lambda agent=agents[name]: halt_once_missed(agent)
    # It dies in the middle of its third round, when its neighbours have what it sent in the second.
    dying, died = threading.Event(), threading.Event()
    agents["c"].device.on_train = lambda: (
        len(agents["c"].device.seeds) == 2
        and (
            dying.set(),
            died.wait(20),
        )
    )
    start_all(agents, **more)
    assert dying.wait(10)
    for name in ("b", "d"):
        next(e for e in agents[name].runner.watch("run", 0, ACTIVE) if e.round == 2)
    agents["c"].down_now()
    died.set()
    for name in ("b", "d"):
        missed = next(e for e in agents[name].runner.watch("run", 0, ACTIVE) if "c" in e.missing)
        assert missed.round == 3
    agents["c"].prepare = forget
    agents["c"].boot()
    assert agents["c"].runner.start(plan_of(agents, "c", **more)) == 3
    # The neighbours go on when they have heard of it: they could else be through before.
    for name in ("b", "d"):
        run = agents[name].run
        with run._changed:
            assert run._changed.wait_for(lambda run=run: not run._state.peers["c"].suspected, 10)
    back.set()
    for name in NAMES:
        assert agents[name].events()[-1].state == pb.GossipEvent.FINISHED
    for name in ("b", "d"):
        rounds = done(agents[name].events())
        assert [e.round for e in rounds] == list(range(1, 13))
        assert next(e.round for e in rounds if "c" in e.missing) == 3
        assert "c" in rounds[-1].responders
    rounds_of_c = [e.round for e in done(agents["c"].events())]
    assert rounds_of_c == sorted(set(rounds_of_c))


def test_resume_starts_from_the_weights_of_the_last_round(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    plan = pb.GossipPlan(run_id="alone", rounds=3, epochs_per_round=1, seed=1, round_timeout_s=1)
    a.runner.start(plan)
    a.events("alone")
    through = a.device.values
    a.device.values = {n: t * 0 for n, t in through.items()}
    assert a.runner.start(plan) == 4, "it has finished: nothing is left to do"
    assert [e.state for e in a.events("alone")][-1] == pb.GossipEvent.FINISHED

    b = agents["b"]
    b.device.hold = threading.Event()
    b.runner.start(plan)
    b.device.training.wait(10)
    start = dict(b.device.values)
    b.down()
    b.prepare = forget
    b.boot()
    assert b.device.incarnation == 2
    assert b.runner.start(plan) == 1
    b.events("alone")
    expected = start
    for round in (1, 2, 3):
        expected = trained("b", 1_000_003 + round, expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(b.device.values[name], tensor)


def test_the_newest_finished_runs_are_kept_and_what_can_be_gone_on_with(
    tmp_path: Path, toy: Any
) -> None:
    device = FakeDevice("a", tmp_path, manifest_of("a", toy.manifest))
    gossip = Gossip(device, keep_runs=2)
    runner = gossip.runner
    ids = ["first", "stopped", "second", "third", "fourth"]
    for i, run_id in enumerate(ids):
        device.hold = threading.Event() if run_id == "stopped" else None
        device.training.clear()
        runner.start(pb.GossipPlan(run_id=run_id, rounds=1, epochs_per_round=1, round_timeout_s=1))
        if run_id == "stopped":
            assert device.training.wait(10)
            runner.stop(run_id)
        list(runner.watch(run_id, 0, ACTIVE))
        ended = tmp_path / "gossip" / run_id / "events.jsonl"
        if ended.exists():
            os.utime(ended, (i, i))
    left = {path.name for path in (tmp_path / "gossip").iterdir() if path.is_dir()}
    assert left == {"stopped", "second", "third", "fourth"}
    assert runner.snapshot(1)
    # What it told is kept with its job.
    assert [e.round for e in done(list(runner.watch("first", 0, ACTIVE)))] == [1]
    again = pb.GossipPlan(run_id="stopped", rounds=1, epochs_per_round=1, round_timeout_s=1)
    assert runner.start(again) == 1
    list(runner.watch("stopped", 0, ACTIVE))
    # The oldest is not removed by being asked for.
    again.run_id = "third"
    assert runner.start(again) == 2
    assert runner.snapshot(1)
    gossip.jobs.close()


def test_last_contribution_reaches_a_neighbour_that_is_late(agents: dict[str, Agent]) -> None:
    a, b = agents["a"], agents["b"]
    pair = {"a": a, "b": b}
    a.runner.start(plan_of(pair, "a", rounds=1))
    tensors = SliceSet(b.device.values)
    said = RoundContribution(
        "b", 0, 1, 1, tensors, dict.fromkeys(tensors, 1.0), schema_hash(tensors)
    )
    link = PeerLink(
        "run",
        "a",
        f"127.0.0.1:{a.port}",
        tls=None,
        insecure=False,
        backoff=QUICK,
        cancelled=threading.Event(),
        traffic=Traffic(),
    )
    assert link.send(said, time.monotonic() + 10).outcome is Delivered.ACCEPTED
    link.close()
    # Now a is through, and b has not even started.
    assert next(iter(a.runner.watch("run", 0, ACTIVE))).responders == ["b"]
    b.runner.start(plan_of(pair, "b", rounds=1))
    assert b.events()[0].responders == ["a"]
    assert a.events()[-1].state == b.events()[-1].state == pb.GossipEvent.FINISHED


def test_torn_last_line_of_the_journal_is_no_round(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    plan = pb.GossipPlan(
        run_id="torn", rounds=3, epochs_per_round=1, round_timeout_s=1, keep_snapshots=True
    )
    a.runner.start(plan)
    a.events("torn")
    a.down()
    journal = a.device.state_dir / "gossip" / "torn" / "events.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1] + lines[2][:25])
    a.boot()
    assert a.runner.start(plan) == 3
    assert [e.round for e in done(a.events("torn"))] == [1, 2, 3]
    a.down()
    a.boot()
    assert [e.round for e in done(a.events("torn"))] == [1, 2, 3]


def test_stopped_run_ends_at_once_and_can_be_gone_on_with(agents: dict[str, Agent]) -> None:
    for agent in agents.values():
        agent.device.hold = threading.Event()
    start_all(agents)
    for agent in agents.values():
        assert agent.device.training.wait(10)
        assert agent.runner.stop("run")
        assert agent.events()[-1].state == pb.GossipEvent.STOPPED
        assert not agent.device.seeds or not done(agent.events())
        assert not agent.runner.stop("run")
        agent.device.hold.set()
    for name, agent in agents.items():
        assert agent.runner.start(plan_of(agents, name)) == 1
    for agent in agents.values():
        assert [e.round for e in done(agent.events())] == [1, 2, 3, 4]
        assert agent.events()[-1].state == pb.GossipEvent.FINISHED


def test_going_on_needs_the_same_plan_and_model(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    plan = pb.GossipPlan(run_id="x", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    a.events("x")
    other = pb.GossipPlan(run_id="x", rounds=4, epochs_per_round=1, round_timeout_s=1)
    with pytest.raises(UsageError, match="another plan"):
        a.runner.start(other)
    a.device.manifest = dataclasses.replace(a.device.manifest, architecture_hash="other")
    with pytest.raises(UsageError, match="another model"):
        a.runner.start(plan)


def test_unknown_runs(agents: dict[str, Agent]) -> None:
    a = agents["a"].runner
    assert a.progress() == ("", 0, False)
    assert not a.stop("never")
    with pytest.raises(DataError, match="not known"):
        list(a.watch("never", 0, ACTIVE))
    with pytest.raises(UsageError, match="run id"):
        list(a.watch("../x", 0, ACTIVE))
    with pytest.raises(DataError, match="no gossip run"):
        a.snapshot(1)


def test_damaged_snapshot_says_so(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    plan = pb.GossipPlan(run_id="x", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    a.down()
    (a.device.state_dir / "gossip" / "x" / "round-0000.safetensors").write_bytes(b"broken")
    a.boot()
    end = a.events("x")[-1]
    assert end.state == pb.GossipEvent.FAILED
    assert "damaged" in end.error
    with pytest.raises(DataError, match="after round 0 are not kept here"):
        a.runner.start(plan)
    (a.device.state_dir / "gossip" / "x" / "plan.json").write_bytes(b"{")
    left = sorted(p.name for p in (a.device.state_dir / "gossip" / "x").iterdir())
    # What is set aside is neither taken for a run that never began nor overwritten by one.
    for _ in range(2):
        with pytest.raises(DataError, match=r"damaged.*another id"):
            a.runner.start(plan)
    assert sorted(p.name for p in (a.device.state_dir / "gossip" / "x").iterdir()) == sorted(
        "plan.json.damaged" if name == "plan.json" else name for name in left
    )
