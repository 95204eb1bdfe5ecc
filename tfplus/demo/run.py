"""The demo: four devices that know five digits each learn all ten, without a coordinator.

Everything is real but the distance: exported models, agents as processes of their own, gRPC on
loopback. `Demo` does the steps in order and tells a listener what happens; it prints nothing.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from tfplus.demo import digits
from tfplus.demo.agents import LocalAgents
from tfplus.demo.children import Children, interrupt_deferred
from tfplus.demo.models import Models, Workshop, branched, decoupled
from tfplus.demo.options import CENTRAL, DemoOptions
from tfplus.errors import ExportError, MissingExtraError
from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.global_model import write_global
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.fleet.updates import Round, Update
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.system.files import write_atomic
from tfplus.tensors.slices import Contribution, Tensor, average


@dataclass
class Tally:
    """One round as it comes in from the devices."""

    device_accuracy: dict[str, float | None] = field(default_factory=dict[str, float | None])
    train_loss: dict[str, float] = field(default_factory=dict[str, float])
    bytes_sent: int = 0
    ended_s: float = 0.0


Listener = Callable[[str, Mapping[str, Any]], None]


def check_installed() -> None:
    """Tells of what is missing before anything is made.

    Raises:
      MissingExtraError: a package of the extra `demo` is not installed.
    """
    for package in ("sklearn", "tensorflow", "ai_edge_litert", "grpc_health", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError.of("tfplus demo", "demo")
    with interrupt_deferred():
        digits.load()


class Demo:
    """One run of the demo in a folder of its own.

    Args:
      folder: empty; data, models, agents' state and the results go there.
      options: how long and how to train.
      listen: called as `listen(what, details)`: `phase`, `update` (of an agent), `round` (global
        accuracy after it).
    """

    def __init__(self, folder: Path, options: DemoOptions, listen: Listener) -> None:
        self._folder = folder
        self._options = options
        self._listen = listen
        self._counts: dict[str, dict[int, int]] = {}
        self._addresses: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Runs everything and returns what `result.json` holds, without provenance."""
        started = time.monotonic()
        with Children() as children:
            agents = LocalAgents(children, self._folder / "agents")
            self._listen("phase", {"name": "dealing out the digits and starting five agents"})
            data = self._deal()
            self._start(agents, data)
            exported = self._export(children, data)
            models = exported.paths
            self._addresses = {name: agents.address(name) for name in [*digits.RING, CENTRAL]}
            self._listen("phase", {"name": "training centrally, and each device alone"})
            alone, central = self._train_without_gossip(models)
            self._listen("phase", {"name": "learning together"})
            rounds, together_s, recomposed = self._gossip(models)
        write_atomic(self._folder / "recomposed.safetensors", save(recomposed))
        write_global(models[CENTRAL], recomposed, self._folder / "recomposed.tflite")
        return {
            "global_accuracy": rounds[-1]["global_accuracy"],
            "central_accuracy": central,
            "alone_accuracy": [alone[name] for name in digits.RING],
            "rounds": self._options.rounds,
            "epochs_per_round": self._options.epochs,
            "bytes_sent": sum(r["bytes_sent"] for r in rounds),
            "seconds": time.monotonic() - started,
            "gossip_seconds": together_s,
            "held_out_samples": self._held_out_count,
            "devices": [
                {
                    "name": n,
                    "classes": list(c),
                    "branches": list(self._options.branches[n]),
                    "samples": self._samples(n),
                }
                for n, c in digits.RING.items()
            ],
            "by_round": rounds,
            "seed": self._options.seed,
            **exported.facts,
        }

    def _deal(self) -> dict[str, Path]:
        # Extension modules, as of numpy.random and scikit-learn, can swallow an interrupt that
        # meets them while they are imported.
        with interrupt_deferred():
            rng = np.random.default_rng(self._options.seed)
            samples = digits.load()
        train, held_out = digits.split(samples, digits.HELD_OUT, rng)
        self._held_out_count = len(held_out.y)
        folder = self._folder / "data"
        folder.mkdir()
        desk: dict[str, digits.Samples] = {}
        if self._options.is_decoupled:
            train, desk["desk"] = digits.split(train, digits.DESK, rng)
        paths: dict[str, Path] = {}
        everything = {**digits.deal(train, digits.RING, rng), CENTRAL: train, "held-out": held_out}
        everything |= desk
        for name, samples in everything.items():
            paths[name] = folder / f"{name}.npz"
            np.savez(paths[name], x=samples.x, y=samples.y)
            labels, counts = np.unique(samples.y, return_counts=True)
            self._counts[name] = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        return paths

    def _start(self, agents: LocalAgents, data: Mapping[str, Path]) -> None:
        for name in [*digits.RING, CENTRAL]:
            agents.start(name, data[name], data["held-out"])

    def _export(self, children: Children, data: Mapping[str, Path]) -> Models:
        (self._folder / "models").mkdir()
        shop = Workshop(self._folder, children, lambda name: self._listen("phase", {"name": name}))
        if self._options.is_decoupled:
            return decoupled(shop, self._options, data)
        return branched(shop, self._options)

    def _train_without_gossip(self, models: Mapping[str, Path]) -> tuple[dict[str, float], float]:
        """The same number of epochs: on all data in one place, and on each device for itself."""

        def train(name: str) -> float:
            with AgentClient(self._addresses[name]) as client:
                client.load(client.upload(models[name]), fresh=True)
                epochs = self._options.rounds * self._options.epochs
                for _ in client.train(epochs, seed=self._options.seed, report_every=1_000_000):
                    pass
                return client.evaluate().metrics["accuracy"]

        with ThreadPoolExecutor(len(models)) as pool:
            names = [*digits.RING, CENTRAL]
            accuracy = dict(zip(names, pool.map(train, names), strict=True))
        return accuracy, accuracy[CENTRAL]

    def _gossip(
        self, models: Mapping[str, Path]
    ) -> tuple[list[dict[str, Any]], float, dict[str, Tensor]]:
        options = self._options
        plan = RunOptions("demo", options.rounds, options.epochs, options.seed, keep_snapshots=True)
        addresses = [self._addresses[name] for name in digits.RING]
        tallies: dict[int, Tally] = {}
        rows: list[dict[str, Any]] = []
        with (
            GossipSession(addresses, plan) as session,
            AgentClient(self._addresses[CENTRAL]) as judge,
        ):
            session.connect()
            session.load({name: models[name] for name in digits.RING})
            started = time.monotonic()
            session.start()
            for update in session.updates():
                self._listen("update", {"update": update})
                done = self._count(update, tallies, time.monotonic() - started)
                if done is not None:
                    values = self._recompose(session, done)
                    judge.set_weights(values)
                    accuracy = judge.evaluate().metrics["accuracy"]
                    rows.append(_row(done, tallies, accuracy))
                    self._listen("round", {"round": done, "global_accuracy": accuracy})
            if len(rows) < options.rounds:
                ends = "; ".join(f"{e.agent} {e.state} {e.error}" for e in session.ends.values())
                raise ExportError(f"the run ended after {len(rows)} rounds: {ends}")
            return rows, tallies[options.rounds].ended_s, self._recompose(session, options.rounds)

    def _count(self, update: Update, tallies: dict[int, Tally], now_s: float) -> int | None:
        """Notes an update; returns the round if all devices have now ended it."""
        if not isinstance(update, Round):
            return None
        tally = tallies.setdefault(update.round, Tally())
        tally.device_accuracy[update.agent] = update.eval_metrics.get("accuracy")
        tally.train_loss[update.agent] = update.loss
        tally.bytes_sent += update.sent_bytes
        tally.ended_s = now_s
        return update.round if len(tally.train_loss) == len(digits.RING) else None

    def _samples(self, name: str) -> int:
        return sum(self._counts[name].values())

    def _recompose(self, session: GossipSession, gossip_round: int) -> dict[str, Tensor]:
        contributions: list[Contribution] = []
        for name in digits.RING:
            tensors = session.weights(name, gossip_round)
            contributions.append(Contribution(tensors, slice_weights(tensors, self._samples(name))))
        return average(contributions)


def _row(number: int, tallies: Mapping[int, Tally], accuracy: float) -> dict[str, Any]:
    tally = tallies[number]
    before_s = tallies[number - 1].ended_s if number - 1 in tallies else 0.0
    return {
        "round": number,
        "global_accuracy": accuracy,
        "device_accuracy": [tally.device_accuracy[name] for name in digits.RING],
        "train_loss": [tally.train_loss[name] for name in digits.RING],
        "seconds": tally.ended_s - before_s,
        "bytes_sent": tally.bytes_sent,
    }


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes `result.json`."""
    write_atomic(folder / "result.json", (json.dumps(result, indent=2) + "\n").encode())
