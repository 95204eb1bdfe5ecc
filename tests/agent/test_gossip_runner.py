"""The runner between real gRPC servers, over devices whose training is a known function."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tfplus.errors import BusyError, DataError, TensorError, UsageError, WorkerError
from tfplus.gossip import simulation
from tfplus.gossip.grpc_transport import Backoff, Delivered, PeerLink
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.topology import ring
from tfplus.gossip.traffic import Traffic
from tfplus.gossip.weights import slice_weights
from tfplus.manifest import Manifest, Variable
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.slices import Tensors, schema_hash
from tfplus.wire.tls import server_options
from tfplus_agent.gossip_runner import GossipRunner
from tfplus_agent.results import EvaluateResult, MemoryReading, TrainSummary

NAMES = ("a", "b", "c", "d")
# The paper's ring, and how many samples of each class a device has.
COUNTS = {
    "a": {9: 5, 0: 6, 1: 7, 2: 8, 3: 9},
    "b": {2: 3, 3: 4, 4: 5, 5: 6, 6: 7},
    "c": {5: 9, 6: 9, 7: 9, 8: 9, 9: 9},
    "d": {8: 1, 9: 2, 0: 3, 1: 0, 2: 5},
}
QUICK = Backoff(first_s=0.01, longest_s=0.02, attempts=3)
ACTIVE = lambda: True  # noqa: E731


def slices_of(name: str) -> list[str]:
    return ["shared/conv/kernel", *(f"task/{c}/dense/kernel" for c in sorted(COUNTS[name]))]


def manifest_of(name: str, like: Manifest) -> Manifest:
    variables = tuple(Variable(n, (6,), "float32", "weight", True, 64) for n in slices_of(name))
    return dataclasses.replace(like, variables=variables, architecture_hash=f"hash-{name}")


def trained(name: str, seed: int, tensors: Tensors) -> dict[str, np.ndarray]:
    """What local training does here: depends on the device, the round's seed and the weights."""
    shift = np.float32((ord(name) - 96) * 0.25 + (seed % 7) * 0.125)
    return {n: (t * np.float32(0.5) + shift).astype(np.float32) for n, t in tensors.items()}


class FakeDevice:
    def __init__(self, name: str, state_dir: Path, manifest: Manifest, incarnation: int = 1):
        self.name = name
        self.state_dir = state_dir
        self.incarnation = incarnation
        self.manifest = manifest
        rng = np.random.default_rng(ord(name))
        self.values = {n: rng.normal(size=6).astype(np.float32) for n in slices_of(name)}
        self.hold: threading.Event | None = None
        self.training = threading.Event()
        self.seeds: list[int] = []
        self.failure: Exception | None = None
        self.busy = 0
        self.on_train: Callable[[], object] = lambda: None

    def train(self, epochs: int, seed: int, *, cancelled: Callable[[], bool]) -> TrainSummary:
        if self.busy:
            self.busy -= 1
            raise BusyError("training cannot begin")
        self.training.set()
        self.on_train()
        while self.hold is not None and not self.hold.wait(0.01):
            if cancelled():
                break
        if self.failure is not None:
            raise self.failure
        self.seeds.append(seed)
        self.values = trained(self.name, seed, self.values)
        return TrainSummary(3, 30, 0.5, 1.0, 0.25, 3, MemoryReading(), {"accuracy": 0.75})

    def weights(self) -> dict[str, np.ndarray]:
        return dict(self.values)

    def set_weights(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.values = dict(tensors)

    def evaluate(self) -> EvaluateResult | None:
        return EvaluateResult(10, {"accuracy": 0.5}, 0.1, 5, 1.0) if self.name == "a" else None

    @property
    def train_samples(self) -> int:
        return sum(COUNTS[self.name].values())


class Agent:
    """A device with its runner and a server on loopback, that can die and come back."""

    def __init__(self, name: str, state_dir: Path, manifest: Manifest) -> None:
        self.name = name
        self._state_dir = state_dir
        self._manifest = manifest
        self._incarnation = 0
        self.port = 0
        state_dir.mkdir()
        self.boot()

    def boot(self) -> None:
        self._incarnation += 1
        self.device = FakeDevice(self.name, self._state_dir, self._manifest, self._incarnation)
        self.runner = GossipRunner(self.device, backoff=QUICK)  # type: ignore[arg-type]
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=server_options())
        gossip_pb2_grpc.add_GossipServicer_to_server(self.runner.servicer(), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def down_now(self) -> None:
        """Dies as far as others can tell; what still runs is ended by `down`."""
        self._server.stop(0).wait()
        self.runner._run._cancelled.set()  # type: ignore[union-attr]

    def down(self) -> None:
        self._server.stop(0).wait()
        self.runner.close()

    def events(self, run_id: str = "run", from_round: int = 0) -> list[pb.GossipEvent]:
        return list(self.runner.watch(run_id, from_round, ACTIVE))


@pytest.fixture
def agents(tmp_path: Path, toy: Any) -> Iterator[dict[str, Agent]]:
    agents = {n: Agent(n, tmp_path / n, manifest_of(n, toy.manifest)) for n in NAMES}
    yield agents
    for agent in agents.values():
        agent.down()


def plan_of(agents: Mapping[str, Agent], name: str, **changes: Any) -> pb.GossipPlan:
    fields: dict[str, Any] = {
        "run_id": "run",
        "rounds": 4,
        "epochs_per_round": 1,
        "seed": 5,
        "round_timeout_s": 20.0,
        **changes,
    }
    plan = pb.GossipPlan(**fields)
    for neighbour in ring(list(agents))[name]:
        address = f"127.0.0.1:{agents[neighbour].port}"
        plan.neighbours.add(name=neighbour, address=address)
    return plan


def start_all(agents: Mapping[str, Agent], **changes: Any) -> None:
    for name, agent in agents.items():
        assert agent.runner.start(plan_of(agents, name, **changes)) == 0


def done(events: list[pb.GossipEvent]) -> list[pb.GossipEvent]:
    return [e for e in events if e.state == pb.GossipEvent.ROUND_DONE]


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
    agents["c"].boot()
    agents["c"].device.values = {n: t * 0 for n, t in agents["c"].device.values.items()}
    assert agents["c"].runner.start(plan_of(agents, "c", **more)) == 3
    # The neighbours go on when they have heard of it: they could else be through before.
    for name in ("b", "d"):
        run = agents[name].runner._run
        assert run is not None
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
    b.boot()
    assert b.device.incarnation == 2
    assert b.runner.progress() == ("alone", 0, False)
    b.device.values = {n: t + 99 for n, t in start.items()}
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
    runner = GossipRunner(device, keep_runs=2)  # type: ignore[arg-type]
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
    with pytest.raises(DataError, match="'first' is not known"):
        list(runner.watch("first", 0, ACTIVE))
    again = pb.GossipPlan(run_id="stopped", rounds=1, epochs_per_round=1, round_timeout_s=1)
    assert runner.start(again) == 1
    list(runner.watch("stopped", 0, ACTIVE))
    # The oldest is not removed by being asked for.
    again.run_id = "third"
    assert runner.start(again) == 2
    assert runner.snapshot(1)
    runner.close()


def test_last_contribution_reaches_a_neighbour_that_is_late(agents: dict[str, Agent]) -> None:
    a, b = agents["a"], agents["b"]
    pair = {"a": a, "b": b}
    a.runner.start(plan_of(pair, "a", rounds=1))
    tensors = b.device.weights()
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


def test_failure_of_the_device_ends_the_run_with_its_reason(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.failure = WorkerError("the worker died")
    plan = pb.GossipPlan(run_id="bad", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    end = a.events("bad")[-1]
    assert (end.state, end.error) == (pb.GossipEvent.FAILED, "the worker died")
    a.device.failure = None
    assert a.runner.start(plan) == 1
    assert a.events("bad")[-1].state == pb.GossipEvent.FINISHED


def test_diverged_training_is_not_sent(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.values["shared/conv/kernel"][0] = np.nan
    plan = pb.GossipPlan(run_id="nan", rounds=3, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    end = a.events("nan")[-1]
    assert end.state == pb.GossipEvent.FAILED
    assert "NaN" in end.error


def test_busy_device_is_waited_for(agents: dict[str, Agent]) -> None:
    a = agents["a"]
    a.device.busy = 2
    plan = pb.GossipPlan(run_id="busy", rounds=1, epochs_per_round=1, round_timeout_s=1)
    a.runner.start(plan)
    assert a.events("busy")[-1].state == pb.GossipEvent.FINISHED


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
    with pytest.raises(DataError, match="damaged"):
        a.runner.start(plan)
    (a.device.state_dir / "gossip" / "x" / "plan.json").write_bytes(b"{")
    with pytest.raises(DataError, match="damaged"):
        a.runner.start(plan)


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
