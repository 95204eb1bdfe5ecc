"""Gossip runs that lose their worker or their agent go on without anybody's help."""

from __future__ import annotations

import threading

import numpy as np
from gossip_ring import (
    NAMES,
    Agent,
    FakeDevice,
    done,
    plan_of,
    start_all,
    trained,
)

from tfplus.errors import WorkerError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage.gossip_journal import RunJournal


def hold(device: FakeDevice) -> None:
    device.hold = threading.Event()


ALONE = pb.GossipPlan(run_id="alone", rounds=4, epochs_per_round=1, seed=1, round_timeout_s=1)


def test_a_worker_that_dies_costs_its_round_and_no_more(agents: dict[str, Agent]) -> None:
    device, expected = agents["a"].device, agents["a"].device.values
    deaths = iter([None, WorkerError("killed"), WorkerError("killed"), None, None, None])

    def die() -> None:
        failure = next(deaths)
        if failure is not None:
            # What it had learned when it died is nothing to go on from.
            device.values = {n: t + 99 for n, t in device.values.items()}
        device.failure = failure

    device.on_train = die
    assert agents["a"].runner.start(ALONE) == 0
    events = agents["a"].events("alone")
    assert events[-1].state == pb.GossipEvent.FINISHED
    assert [len(e.warnings) for e in done(events)] == [0, 2, 0, 0]
    assert done(events)[1].warnings[0] == "round 2 was trained again: killed"
    for round in range(1, 5):
        expected = trained("a", 1_000_003 + round, expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(device.values[name], tensor)


def test_a_worker_that_dies_again_and_again_fails_the_run(agents: dict[str, Agent]) -> None:
    device = agents["a"].device
    device.failure = WorkerError("killed")
    agents["a"].runner.start(ALONE)
    end = agents["a"].events("alone")[-1]
    assert end.state == pb.GossipEvent.FAILED
    assert end.error == "its worker died 3 times before, as often as allowed: killed"
    # A restarted agent would fail again.
    agents["a"].down()
    agents["a"].boot()
    assert agents["a"].runner.progress() == ("alone", 0, False)


def test_an_agent_that_was_killed_goes_on_by_itself(agents: dict[str, Agent]) -> None:
    start_all(agents, rounds=6, round_timeout_s=1.0)
    agents["c"].device.training.wait(10)
    agents["c"].down_now()
    agents["c"].boot()
    for name in NAMES:
        assert agents[name].events()[-1].state == pb.GossipEvent.FINISHED
    agents["c"].down()
    agents["c"].boot()
    assert not agents["c"].runner.progress()[2], "it has finished"


def test_a_run_that_somebody_stopped_waits_for_somebody(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    a.runner.start(ALONE)
    assert a.device.training.wait(10)
    assert a.runner.stop("alone")
    a.down()
    a.boot()
    assert a.runner.progress() == ("alone", 0, False)
    assert a.runner.start(ALONE) == 1
    a.events("alone")
    a.down()
    a.boot()
    assert not a.runner.progress()[2]


def test_neighbours_that_moved_are_found_by_a_run_that_went_on_by_itself(
    agents: dict[str, Agent],
) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    stale = plan_of(agents, "a")
    for neighbour in stale.neighbours:
        neighbour.address = "127.0.0.1:9"
    a.runner.start(stale)
    assert a.device.training.wait(10)
    a.down()
    a.prepare = hold
    a.boot()
    assert a.device.training.wait(10)
    a.device.hold = None
    a.runner.start(plan_of(agents, "a"))
    for name in "bcd":
        agents[name].runner.start(plan_of(agents, name))
    for name in NAMES:
        events = agents[name].events()
        assert events[-1].state == pb.GossipEvent.FINISHED
    assert any(e.responders for e in done(a.events()))
    journal = RunJournal.read(a.device.state_dir / "gossip", "run")
    assert journal is not None
    assert {n.address for n in journal.plan.neighbours} == {
        n.address for n in plan_of(agents, "a").neighbours
    }
