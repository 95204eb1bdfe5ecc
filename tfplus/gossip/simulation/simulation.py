"""Whole networks of the gossip core on a virtual clock: the same seed replays bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from tfplus.gossip.core.machine import NodeConfig, State, initial_state, step
from tfplus.gossip.messages import (
    Answer,
    Event,
    Finished,
    LocalDone,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.simulation.clock import VirtualClock
from tfplus.gossip.simulation.network import Faults
from tfplus.gossip.simulation.virtual_transport import VirtualNetwork, VirtualTransport
from tfplus.gossip.transport.protocol import Transport
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors

Trainer: TypeAlias = Callable[[int, Tensors], Tensors]
"""(round, weights before) -> weights after local training; a pure function."""

NO_FAULTS = Faults()


@dataclass(frozen=True)
class Node:
    """One simulated device.

    Attributes:
      neighbours: their names.
      tensors: the weights that it starts from.
      slice_weights: samples behind each slice.
      train: its local training.
      train_s: how long that takes, virtual seconds.
      start_s: when it is told to start; what arrives before is not lost.
    """

    neighbours: tuple[str, ...]
    tensors: Tensors
    slice_weights: Mapping[str, float]
    train: Trainer
    train_s: float = 1.0
    start_s: float = 0.0


@dataclass(frozen=True)
class Crash:
    """A node dies at `at_s` and comes back at `back_s` with what its journal holds."""

    node: str
    at_s: float
    back_s: float


@dataclass(frozen=True, eq=False)
class Result:
    """What a simulation came to.

    Attributes:
      tensors: node → its weights at the end.
      rounds: node → its averages, in order.
      finished: nodes that ended their last round.
      seconds: virtual time of the last event.
    """

    tensors: Mapping[str, Tensors]
    rounds: Mapping[str, Sequence[RoundDone]]
    finished: frozenset[str]
    seconds: float


@dataclass
class _Live:
    state: State
    tensors: Tensors
    transport: Transport
    alive: bool = True
    done: list[RoundDone] = field(default_factory=list[RoundDone])
    waiting_room: list[Event] = field(default_factory=list[Event])


def simulate(
    nodes: Mapping[str, Node],
    *,
    rounds: int,
    round_timeout_s: float = 30.0,
    max_staleness: int = 1,
    faults: Faults = NO_FAULTS,
    crashes: Sequence[Crash] = (),
    seed: int = 0,
) -> Result:
    """Runs a network until nothing more happens.

    Args:
      nodes: the devices by name.
      rounds: rounds of the run.
      round_timeout_s: see `NodeConfig`.
      max_staleness: see `NodeConfig`.
      faults: what the network does to messages.
      crashes: who dies when, and comes back.
      seed: of all chance in it.
    """
    return _Simulation(nodes, rounds, round_timeout_s, max_staleness, faults, seed).run(crashes)


class _Simulation:
    def __init__(
        self,
        nodes: Mapping[str, Node],
        rounds: int,
        round_timeout_s: float,
        max_staleness: int,
        faults: Faults,
        seed: int,
    ) -> None:
        self._nodes = nodes
        self._clock = VirtualClock()
        rng = random.Random(seed)  # noqa: S311  a replayable simulation, no secret
        network = VirtualNetwork(self._clock, faults, rng)
        self._live: dict[str, _Live] = {}
        for name, node in nodes.items():
            schema = {n: (tuple(t.shape), t.dtype.name) for n, t in node.tensors.items()}
            config = NodeConfig(
                name, 1, node.neighbours, rounds, round_timeout_s, schema, max_staleness
            )
            # The core is not told of who cannot be reached: its own patience is what is tried here.
            transport = VirtualTransport(network, name, node.neighbours, lambda *_: None)
            network.join(name, partial(self._arrive, name))
            self._live[name] = _Live(initial_state(config), SliceSet.of(node.tensors), transport)

    def run(self, crashes: Sequence[Crash]) -> Result:
        for name, node in self._nodes.items():
            self._clock.at(node.start_s, lambda name=name: self._start(name))
        for crash in crashes:
            self._clock.at(crash.at_s, lambda crash=crash: self._crash(crash))
            self._clock.at(crash.back_s, lambda crash=crash: self._return(crash))
        self._clock.run()
        return Result(
            {n: live.tensors for n, live in self._live.items()},
            {n: live.done for n, live in self._live.items()},
            frozenset(n for n, live in self._live.items() if live.state.phase == "finished"),
            self._clock.now,
        )

    def _start(self, name: str) -> None:
        live = self._live[name]
        if not live.alive or live.state.phase != "new":
            return
        self._feed(name, Started(self._clock.now))
        early, live.waiting_room = live.waiting_room, []
        for event in early:
            self._feed(name, event)

    def _crash(self, crash: Crash) -> None:
        live = self._live[crash.node]
        live.alive = False
        live.waiting_room.clear()

    def _return(self, crash: Crash) -> None:
        live = self._live[crash.node]
        if live.alive:
            return
        config = live.state.config
        born = replace(config, incarnation=config.incarnation + 1)
        done = live.done[-1].round if live.done else 0
        live.state, live.alive = initial_state(born, done + 1), True
        self._start(crash.node)

    def _arrive(self, name: str, contribution: RoundContribution) -> Answer | None:
        live = self._live[name]
        if not live.alive:
            return None
        event = Received(self._clock.now, contribution)
        if live.state.phase == "new":
            live.waiting_room.append(event)
            return None
        return self._feed(name, event)

    def _feed(self, name: str, event: Event) -> Answer | None:
        live = self._live[name]
        live.state, effects = step(live.state, event)
        answer: Answer | None = None
        for effect in effects:
            match effect:
                case TrainLocally(round=round):
                    self._train(name, round)
                case Send(contribution=contribution):
                    deadline = self._clock.now + live.state.config.round_timeout_s
                    self._clock.at(
                        deadline,
                        lambda: self._feed_life(
                            name, contribution.incarnation, Tick(self._clock.now)
                        ),
                    )
                    live.transport.put(contribution, deadline)
                case RoundDone():
                    live.tensors = effect.tensors
                    live.done.append(effect)
                case Answer():
                    answer = effect
                case Finished():
                    pass
        return answer

    def _train(self, name: str, round: int) -> None:
        live, node = self._live[name], self._nodes[name]
        life = live.state.config.incarnation
        trained = SliceSet.of(node.train(round, live.tensors))
        done_at = self._clock.now + node.train_s
        self._clock.at(
            done_at,
            lambda: self._feed_life(
                name, life, LocalDone(done_at, round, trained, node.slice_weights)
            ),
        )

    def _feed_life(self, name: str, life: int, event: Event) -> None:
        live = self._live[name]
        if live.alive and live.state.config.incarnation == life:
            self._feed(name, event)
