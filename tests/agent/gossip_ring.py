"""Gossip runners between real gRPC servers, over devices whose training is a known function."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from tfplus.errors import DataError
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.transport.grpc_link import Backoff
from tfplus.model_file.manifest import Manifest, Variable
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import gossip_pb2_grpc, membership_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors
from tfplus.wire.tls import server_options
from tfplus_agent.gossip.gossip_jobs import GossipJobs
from tfplus_agent.gossip.run import GossipRun
from tfplus_agent.gossip.runner import GossipRunner
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.results import EvaluateResult, MemoryReading, TrainSummary
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.gossip_journal import Keep

NAMES = ("a", "b", "c", "d")
# The paper's ring, and how many samples of each class a device has.
COUNTS = {
    "a": {9: 5, 0: 6, 1: 7, 2: 8, 3: 9},
    "b": {2: 3, 3: 4, 4: 5, 5: 6, 6: 7},
    "c": {5: 9, 6: 9, 7: 9, 8: 9, 9: 9},
    "d": {8: 1, 9: 2, 0: 3, 1: 0, 2: 5},
    # Of who joins later.
    "e": {0: 4, 5: 4, 9: 4},
}
QUICK = Backoff(first_s=0.01, longest_s=0.02, attempts=3)
ACTIVE = lambda: True  # noqa: E731


def slices_of(name: str) -> list[str]:
    return ["shared/conv/kernel", *(f"task/{c}/dense/kernel" for c in sorted(COUNTS[name]))]


def manifest_of(name: str, like: Manifest, size: int = 6) -> Manifest:
    variables = tuple(Variable(n, (size,), "float32", "weight", True, 64) for n in slices_of(name))
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
        self.model_sha256 = "a" * 64
        self.loaded_as: LoadedModel | None = LoadedModel(self.model_sha256, 1, False)
        rng = np.random.default_rng(ord(name))
        self.values = {
            v.name: rng.normal(size=v.shape).astype(np.float32) for v in manifest.variables
        }
        self.hold: threading.Event | None = None
        self.training = threading.Event()
        self.seeds: list[int] = []
        self.failure: Exception | None = None
        self.owner = DeviceOwner()
        self.steps = 0
        self.on_train: Callable[[], object] = lambda: None

    @property
    def trained_steps(self) -> int:
        return self.steps

    def memory(self) -> MemoryReading:
        return MemoryReading()

    def load_as(self, request: LoadedModel) -> int:
        self.loaded_as = request
        return self.steps

    def rest(self) -> None:
        pass

    def train_round(
        self,
        epochs: int,
        seed: int,
        *,
        cancelled: Callable[[], bool],
        hooks: TrainHooks = NO_HOOKS,
    ) -> tuple[TrainSummary, Checkpoint | None]:
        with self.owner.operation("training", changes=True, long=True):
            return self._train(seed, cancelled)

    def _train(
        self, seed: int, cancelled: Callable[[], bool]
    ) -> tuple[TrainSummary, Checkpoint | None]:
        self.training.set()
        self.on_train()
        while self.hold is not None and not self.hold.wait(0.01):
            if cancelled():
                return TrainSummary(0, 0, 0.0, 0.0, 0.0, 0, MemoryReading(), {}), None
        if self.failure is not None:
            raise self.failure
        self.seeds.append(seed)
        self.values = trained(self.name, seed, self.values)
        self.steps += 3
        summary = TrainSummary(3, 30, 0.5, 1.0, 0.25, 3, MemoryReading(), {"accuracy": 0.75})
        taken = Checkpoint(self.steps, SliceSet(self.values))
        if all(np.isfinite(value).all() for value in self.values.values()):
            return summary, taken
        raise DataError("training diverged: NaN")

    def commit(self, state: Checkpoint, keep: Keep) -> None:
        with self.owner.operation("writing a round down", changes=True):
            self.values, self.steps = dict(state.tensors), state.step
            keep(self.store().save(state))

    def settle(self, keep: Keep) -> None:
        with self.owner.operation("writing what was learned"):
            keep(self.store().save(Checkpoint(self.steps, SliceSet(self.values))))

    def set_weights(self, tensors: Mapping[str, np.ndarray], *, step: int | None) -> None:
        with self.owner.operation("setting weights", changes=True):
            self.values = {**self.values, **tensors}
            self.steps = self.steps if step is None else step

    def store(self) -> CheckpointStore:
        shapes = {n: (t.shape, t.dtype.name) for n, t in self.values.items()}
        return CheckpointStore(self.state_dir / "checkpoints", self.model_sha256, shapes)

    def evaluate(self) -> EvaluateResult | None:
        with self.owner.operation("evaluating"):
            return self._evaluate()

    def _evaluate(self) -> EvaluateResult | None:
        return EvaluateResult(10, {"accuracy": 0.5}, 0.1, 5, 1.0) if self.name == "a" else None

    @property
    def train_samples(self) -> int:
        return sum(COUNTS[self.name].values())


class Gossip:
    """What an agent has of gossip: the kind of job, the queue, and what callers see.

    Args:
      device: real or fake.
      start: take up what an earlier life left, and serve the queue.
      options: of `GossipJobs`.
    """

    def __init__(self, device: Any, *, start: bool = True, **options: Any) -> None:
        self.kind = GossipJobs(device, **options)
        self.jobs = JobQueue(device, device.state_dir / "jobs", (self.kind,))
        self.runner = GossipRunner(self.kind, self.jobs)
        if start:
            self.jobs.start()


class Agent:
    """A device with its runner and a server on loopback, that can die and come back."""

    def __init__(self, name: str, state_dir: Path, manifest: Manifest) -> None:
        self.name = name
        self._state_dir = state_dir
        self._manifest = manifest
        self._incarnation = 0
        self.port = 0
        # What is done with the device of the next life before it takes anything up.
        self.prepare: Callable[[FakeDevice], object] = lambda _: None
        state_dir.mkdir()
        self.boot()

    def boot(self) -> None:
        self._incarnation += 1
        self.device = FakeDevice(self.name, self._state_dir, self._manifest, self._incarnation)
        self.prepare(self.device)
        gossip = Gossip(self.device, start=False, backoff=QUICK)
        self.jobs, self.runner, self._kind = gossip.jobs, gossip.runner, gossip.kind
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=server_options())
        gossip_pb2_grpc.add_GossipServicer_to_server(self.runner.servicer(), self._server)
        membership_pb2_grpc.add_MembershipServicer_to_server(
            self.runner.member_servicer(), self._server
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.jobs.start()
        self._server.start()

    @property
    def run(self) -> GossipRun:
        """Its last run in this life."""
        assert self._kind._run is not None
        return self._kind._run

    def down_now(self) -> None:
        """Dies as far as others can tell; what still runs is ended by `down`."""
        self._server.stop(0).wait()
        self.jobs.stop()

    def crash(self) -> None:
        """Dies without a word, also where it would say goodbye to members."""
        if self.run.members is not None:
            self.run.members.close()
        self.down_now()

    def down(self) -> None:
        self._server.stop(0).wait()
        self.jobs.close()

    def events(self, run_id: str = "run", from_round: int = 0) -> list[pb.GossipEvent]:
        return list(self.runner.watch(run_id, from_round, ACTIVE))


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
    if "membership" in changes:
        return plan
    for neighbour in ring(list(agents))[name]:
        address = f"127.0.0.1:{agents[neighbour].port}"
        plan.neighbours.add(name=neighbour, address=address)
    return plan


def start_all(agents: Mapping[str, Agent], **changes: Any) -> None:
    for name, agent in agents.items():
        assert agent.runner.start(plan_of(agents, name, **changes)) == 0


def done(events: list[pb.GossipEvent]) -> list[pb.GossipEvent]:
    return [e for e in events if e.state == pb.GossipEvent.ROUND_DONE]
