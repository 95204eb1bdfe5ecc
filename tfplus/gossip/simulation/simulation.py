"""Whole networks of the gossip core on a virtual clock: the same seed replays bit for bit."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, State, initial_state
from tfplus.gossip.links import linked
from tfplus.gossip.membership.swim.messages import Changed
from tfplus.gossip.messages import (
    Answer,
    Event,
    Finished,
    LinksChanged,
    LocalDone,
    Look,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.mixing.registry import METROPOLIS, Mixing
from tfplus.gossip.simulation.clock import VirtualClock
from tfplus.gossip.simulation.members import VirtualMembers
from tfplus.gossip.simulation.network import Faults
from tfplus.gossip.simulation.setup import NO_WATCH, Crash, Node, Result, Watch
from tfplus.gossip.simulation.virtual_transport import VirtualNetwork, VirtualTransport
from tfplus.gossip.transport.protocol import Transport
from tfplus.system import garbage
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors

NO_FAULTS = Faults()


@dataclass
class _Live:
    state: State
    tensors: Tensors
    transport: Transport
    alive: bool = True
    done: list[RoundDone] = field(default_factory=list[RoundDone])
    last_done: int = 0
    counted: dict[str, int] = field(default_factory=dict[str, int])
    waiting_room: list[Event] = field(default_factory=list[Event])
    tick_at: float = float("inf")


def simulate(
    nodes: Mapping[str, Node],
    *,
    rounds: int,
    round_timeout_s: float = 30.0,
    max_staleness: int = 1,
    faults: Faults = NO_FAULTS,
    crashes: Sequence[Crash] = (),
    seed: int = 0,
    mixing: Mixing = METROPOLIS,
    watch: Watch = NO_WATCH,
    until_s: float = float("inf"),
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
      mixing: see `NodeConfig`.
      watch: membership, and who is told of what happens.
      until_s: virtual seconds after which it is cut off.
    """
    common = NodeConfig("", 1, (), rounds, round_timeout_s, {}, max_staleness, mixing)
    return _Simulation(nodes, common, faults, seed, watch).run(crashes, until_s)


class _Simulation:
    def __init__(
        self,
        nodes: Mapping[str, Node],
        common: NodeConfig,
        faults: Faults,
        seed: int,
        watch: Watch,
    ) -> None:
        self._nodes = nodes
        self._watch = watch
        self._clock = VirtualClock()
        rng = random.Random(seed)  # noqa: S311  a replayable simulation, no secret
        self._network = network = VirtualNetwork(self._clock, faults, rng)
        self._live: dict[str, _Live] = {}
        self._over: set[str] = set()
        members = frozenset(nodes) if watch.relink is not None else frozenset[str]()
        for name, node in nodes.items():
            config = replace(
                common,
                name=name,
                neighbours=node.neighbours,
                schedule=node.schedule,
                schema={n: (tuple(t.shape), t.dtype.name) for n, t in node.tensors.items()},
                members=members,
            )
            # The core is not told of who cannot be reached: its own patience is what is tried here.
            transport = VirtualTransport(
                network,
                name,
                node.neighbours,
                lambda *_: None,
                watch.codec,
                partial(watch.on_bytes, name),
            )
            network.join(name, partial(self._arrive, name))
            self._live[name] = _Live(initial_state(config), SliceSet.of(node.tensors), transport)
        self._members: VirtualMembers | None = None
        if watch.swim is not None:
            # Chance of its own: with or without membership contributions meet the same faults.
            chance = random.Random(f"members {seed}")  # noqa: S311
            ways = VirtualNetwork(self._clock, faults, chance)
            self._members = VirtualMembers(ways, [*nodes], watch.swim, chance, self._view_changed)

    def run(self, crashes: Sequence[Crash], until_s: float) -> Result:
        for name, node in self._nodes.items():
            self._clock.at(node.start_s, lambda name=name: self._start(name))
        for crash in crashes:
            self._clock.at(crash.at_s, lambda crash=crash: self._crash(crash))
            if crash.back_s < float("inf"):
                self._clock.at(crash.back_s, lambda crash=crash: self._return(crash))
        with garbage.kept():
            self._clock.run(until_s)
        return Result(
            {n: live.tensors for n, live in self._live.items()},
            {n: live.done for n, live in self._live.items()},
            frozenset(n for n, live in self._live.items() if live.state.phase == "finished"),
            self._clock.now,
            self._members,
        )

    def _view_changed(self, observer: str, change: Changed) -> None:
        self._watch.on_change(self._clock.now, observer, change)
        live = self._live[observer]
        if self._members is None or not live.alive:
            return
        relink = self._watch.relink
        if relink is None:
            if not change.status.there and change.member in linked(live.state.schedule):
                self._feed(observer, PeerUnreachable(self._clock.now, change.member))
            return
        believed = self._members.node(observer).view.believed
        gone = frozenset(update.member for update in believed if not update.status.there)
        schedule = relink(gone)[observer]
        if schedule != live.state.schedule:
            self._feed(observer, LinksChanged(self._clock.now, schedule))

    def _ended(self, name: str) -> None:
        # Members never rest: the averages say when it is over.
        self._over.add(name)
        if len(self._over) == len(self._nodes) and self._members is not None:
            self._clock.stop()

    def _start(self, name: str) -> None:
        live = self._live[name]
        if not live.alive or live.state.phase != "new":
            return
        if self._members is not None:
            self._members.join(name)
        self._feed(name, Started(self._clock.now))
        early, live.waiting_room = live.waiting_room, []
        for event in early:
            self._feed(name, event)

    def _crash(self, crash: Crash) -> None:
        live = self._live[crash.node]
        if crash.back_s == float("inf"):
            self._ended(crash.node)
        live.alive = False
        if self._members is not None:
            self._members.crash(crash.node)
        live.waiting_room.clear()
        self._network.forget(crash.node)

    def _return(self, crash: Crash) -> None:
        live = self._live[crash.node]
        if live.alive:
            return
        config = live.state.config
        born = replace(config, incarnation=config.incarnation + 1)
        live.state, live.alive = initial_state(born, live.last_done + 1, live.counted), True
        live.tick_at = float("inf")
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
                case Send(contribution=contribution, to=to):
                    give_up_at = self._clock.now + live.state.config.round_timeout_s
                    live.transport.put(contribution, give_up_at, to)
                    self._watch.on_send(name, contribution, len(to))
                case RoundDone():
                    live.tensors, live.last_done = effect.tensors, effect.round
                    live.counted.update((c.peer, c.round) for c in effect.counted)
                    if self._watch.keep_rounds:
                        live.done.append(effect)
                    self._watch.on_round(self._clock.now, name, effect)
                case Answer():
                    answer = effect
                case Finished():
                    self._ended(name)
                case Look():
                    pass
        self._plan_tick(live, name)
        return answer

    def _plan_tick(self, live: _Live, name: str) -> None:
        deadline, life = live.state.deadline, live.state.config.incarnation
        if deadline is not None and deadline < live.tick_at:
            live.tick_at = deadline
            self._clock.at(deadline, lambda: self._tick(name, life))

    def _tick(self, name: str, life: int) -> None:
        live = self._live[name]
        if live.alive and live.state.config.incarnation == life:
            if self._clock.now >= live.tick_at:
                live.tick_at = float("inf")
            self._feed(name, Tick(self._clock.now))

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
