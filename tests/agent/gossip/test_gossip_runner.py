"""A ring of runners: rounds, events, and what fails."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from gossip_ring import (
    ACTIVE,
    COUNTS,
    NAMES,
    Agent,
    done,
    plan_of,
    slices_of,
    start_all,
    trained,
)

from tfplus.errors import BusyError, DataError, TensorError, UsageError, WorkerError
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.proto.v1 import agent_pb2 as pb

TIMEOUT_S = 20


def test_ring_equals_the_simulation_bit_for_bit(agents: dict[str, Agent]) -> None:
    nodes = {
        name: simulation.Node(
            ring(NAMES)[name],
            agent.device.values,
            slice_weights(slices_of(name), sum(COUNTS[name].values())),
            lambda round, tensors, name=name: trained(name, 5 * 1_000_003 + round, tensors),
        )
        for name, agent in agents.items()
    }
    expected = simulation.simulate(nodes, rounds=4)
    start_all(agents, keep_snapshots=True)
    for name, agent in agents.items():
        events = agent.events()
        assert events[-1].state == pb.GossipEvent.FINISHED
        assert [e.round for e in done(events)] == [1, 2, 3, 4]
        assert all(list(e.responders) == sorted(ring(NAMES)[name]) for e in done(events))
        for slice_name, tensor in expected.tensors[name].items():
            np.testing.assert_array_equal(agent.device.values[slice_name], tensor)
        for result in expected.rounds[name]:
            kept = agent.runner.snapshot(result.round)
            for slice_name, tensor in result.tensors.items():
                np.testing.assert_array_equal(kept[slice_name], tensor)
        assert agent.runner.progress() == ("run", 4, False)


def test_events_say_what_happened(agents: dict[str, Agent]) -> None:
    start_all(agents)
    first, other = agents["a"].events()[0], agents["b"].events()[0]
    assert (first.train_loss, first.train_seconds) == (0.5, 0.25)
    assert dict(first.train_metrics) == {"accuracy": 0.75}
    assert dict(first.eval_metrics) == {"accuracy": 0.5}
    assert not other.eval_metrics
    assert first.wait_seconds >= 0
    assert not first.error
    total = [sum(e.bytes_sent for e in a.events()) for a in agents.values()]
    received = [sum(e.bytes_received for e in a.events()) for a in agents.values()]
    assert all(count > 1000 for count in (*total, *received))
    assert agents["a"].events(from_round=3)[0].round == 3


def test_only_the_last_weights_are_kept_unless_asked(agents: dict[str, Agent]) -> None:
    start_all(agents)
    agents["a"].events()
    assert agents["a"].runner.snapshot(4)
    with pytest.raises(DataError, match=r"after round 2 are not kept here; kept: \[4\]"):
        agents["a"].runner.snapshot(2)


def test_dead_neighbour_is_reported_and_the_others_finish(agents: dict[str, Agent]) -> None:
    agents["c"].down()
    for name in ("a", "b", "d"):
        agents[name].runner.start(plan_of(agents, name))
    for name in ("b", "d"):
        events = agents[name].events()
        assert events[-1].state == pb.GossipEvent.FINISHED
        assert all(list(e.missing) == ["c"] for e in done(events))
        assert "c at 127.0.0.1" in "".join(e.error for e in events)
    assert not any(e.missing for e in agents["a"].events())


def test_failure_of_the_device_ends_the_run_with_its_reason(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.failure = WorkerError("the worker died")
    plan = pb.GossipPlan(run_id="bad", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    end = a.events("bad")[-1]
    assert end.state == pb.GossipEvent.FAILED
    assert end.error == "its worker died 3 times before, as often as allowed: the worker died"
    a.device.failure = None
    assert a.runner.start(plan) == 1
    assert a.events("bad")[-1].state == pb.GossipEvent.FINISHED


def test_diverged_training_is_not_sent(agents: dict[str, Agent]) -> None:
    a = agents["a"]

    def diverge() -> None:
        a.device.values = {n: t * np.float32(np.nan) for n, t in a.device.values.items()}

    a.device.on_train = diverge
    plan = pb.GossipPlan(run_id="nan", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    end = a.events("nan")[-1]
    assert end.state == pb.GossipEvent.FAILED
    assert "NaN" in end.error


def test_a_read_in_the_way_is_waited_for(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    reading, asked = threading.Event(), threading.Event()
    train = a.device.train_round

    def train_while_someone_reads(*given: Any, **named: Any) -> Any:
        reader.start()
        assert reading.wait(TIMEOUT_S)
        asked.set()
        return train(*given, **named)

    def read() -> None:
        with a.device.owner.operation("reading weights"):
            reading.set()
            assert asked.wait(TIMEOUT_S)

    reader = threading.Thread(target=read)
    a.device.train_round = train_while_someone_reads  # type: ignore[method-assign]
    plan = pb.GossipPlan(run_id="busy", rounds=1, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    assert a.events("busy")[-1].state == pb.GossipEvent.FINISHED
    reader.join(TIMEOUT_S)


def trained_and_waiting(agents: dict[str, Agent]) -> Agent:
    """Starts a run, and returns an agent that has trained and waits for its neighbours."""
    a = agents["a"]
    trained = threading.Event()
    train = a.device.train_round

    def train_and_say(*given: Any, **named: Any) -> Any:
        found = train(*given, **named)
        trained.set()
        return found

    a.device.train_round = train_and_say  # type: ignore[method-assign]
    for name in ("b", "d"):
        agents[name].device.hold = threading.Event()
    start_all(agents)
    assert trained.wait(TIMEOUT_S)
    return a


def test_a_run_keeps_the_device_and_lets_reads_through(agents: dict[str, Agent]) -> None:
    a = trained_and_waiting(agents)
    # From here on it waits for its neighbours, who wait for us.
    assert a.device.evaluate()
    values, steps = a.device.values, a.device.steps
    with pytest.raises(BusyError, match="setting weights cannot begin: gossip run 'run' is under"):
        a.device.set_weights(values, step=steps)
    with pytest.raises(BusyError, match=r"training cannot begin: .* wait for its end, or stop it"):
        a.device.train_round(1, 1, cancelled=ACTIVE)
    for agent in agents.values():
        agent.device.hold = None
    assert a.events()[-1].state == pb.GossipEvent.FINISHED
    a.device.set_weights(a.device.values, step=None)


def test_a_run_cannot_begin_during_a_training(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    with (
        a.device.owner.operation("training", changes=True, long=True),
        pytest.raises(BusyError, match="'run' cannot begin: training is under way"),
    ):
        a.runner.start(plan_of(agents, "a"))
    with pytest.raises(UsageError, match="host:port"):
        a.runner.start(
            pb.GossipPlan(
                run_id="x",
                rounds=1,
                epochs_per_round=1,
                round_timeout_s=1,
                neighbours=[{"name": "b", "address": "nowhere"}],
            )
        )
    # Neither holds the device afterwards.
    a.device.set_weights(a.device.values, step=None)


def test_a_run_that_waits_for_the_device_can_be_stopped(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    waits, reading, stopped = threading.Event(), threading.Event(), threading.Event()
    train = a.device.train_round

    def train_behind_a_reader(*given: Any, **named: Any) -> Any:
        waits.set()
        assert reading.wait(TIMEOUT_S)
        return train(*given, **named)

    a.device.train_round = train_behind_a_reader  # type: ignore[method-assign]
    a.runner.start(pb.GossipPlan(run_id="w", rounds=1, epochs_per_round=1, round_timeout_s=1))
    assert waits.wait(TIMEOUT_S)
    with a.device.owner.operation("reading weights"):
        reading.set()
        assert a.runner.stop("w")
        stopped.set()
    assert a.events("w")[-1].state == pb.GossipEvent.STOPPED
    assert not a.device.seeds


def test_what_a_stopped_run_learned_is_brought_to_disk(agents: dict[str, Agent]) -> None:
    a = trained_and_waiting(agents)
    assert a.runner.stop("run")
    assert a.events()[-1].state == pb.GossipEvent.STOPPED
    found = a.device.store().load()
    assert found is not None
    assert found.step == 3
    for agent in agents.values():
        agent.device.hold = None


def test_start_of_the_run_under_way_changes_nothing_and_of_another_is_refused(
    agents: dict[str, Agent],
) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    a.runner.start(plan_of(agents, "a"))
    assert a.runner.start(plan_of(agents, "a")) == 0
    with pytest.raises(BusyError, match="'run' is under way"):
        a.runner.start(plan_of(agents, "a", run_id="other"))
    with pytest.raises(BusyError, match="'run' is under way"):
        a.runner.start(plan_of(agents, "a", rounds=9))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"run_id": "../../etc"}, "run id"),
        ({"run_id": ""}, "run id"),
        ({"run_id": "x" * 65}, "run id"),
        ({"rounds": 0}, "rounds: expected 1"),
        ({"epochs_per_round": 0}, "epochs_per_round"),
        ({"round_timeout_s": 0}, "round_timeout_s"),
        ({"round_timeout_s": float("nan")}, "round_timeout_s"),
        ({"round_timeout_s": float("inf")}, "round_timeout_s"),
        ({"mixing": "median"}, "mixing .median.: expected one of metropolis"),
        ({"neighbours": [{"name": "a", "address": "127.0.0.1:1"}]}, "names of others"),
        ({"neighbours": [{"name": "b", "address": "127.0.0.1:1"}] * 2}, "each once"),
        ({"neighbours": [{"name": "", "address": "127.0.0.1:1"}]}, "printable name"),
        ({"neighbours": [{"name": "b", "address": "nowhere"}]}, "host:port"),
        ({"neighbours": [{"name": "b", "address": "192.0.2.1:7"}]}, "not loopback"),
    ],
)
def test_plans_that_make_no_sense(agents: dict[str, Agent], changes: Any, says: str) -> None:
    plan = pb.GossipPlan(
        **{"run_id": "x", "rounds": 3, "epochs_per_round": 1, "round_timeout_s": 1, **changes}
    )
    with pytest.raises(UsageError, match=says):
        agents["a"].runner.start(plan)


def test_watching_ends_when_nobody_listens(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.hold = threading.Event()
    a.runner.start(plan_of(agents, "a"))
    assert list(a.runner.watch("run", 0, lambda: False)) == []


def test_model_without_a_slice_of_the_run_fails_it(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    del a.device.values["shared/conv/kernel"]
    plan = pb.GossipPlan(run_id="x", rounds=1, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    assert "shared/conv/kernel" in a.events("x")[-1].error
    assert TensorError.exit_code == 3
