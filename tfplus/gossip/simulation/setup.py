"""What a simulation is made of, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tfplus.codecs.codec import Codec
from tfplus.gossip.links import Schedule
from tfplus.gossip.membership.swim.messages import Changed
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.messages import RoundContribution, RoundDone
from tfplus.gossip.simulation.members import VirtualMembers
from tfplus.tensors.slices import Tensors

Trainer: TypeAlias = Callable[[int, Tensors], Tensors]
"""(round, weights before) -> weights after local training; a pure function."""


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
      schedule: its links by round; empty where every neighbour is one in every round.
    """

    neighbours: tuple[str, ...]
    tensors: Tensors
    slice_weights: Mapping[str, float]
    train: Trainer
    train_s: float = 1.0
    start_s: float = 0.0
    schedule: Schedule = ()


Relink: TypeAlias = Callable[[frozenset[str]], Mapping[str, Schedule]]
"""Nodes that are gone → the links of all others; see `Watch`."""


@dataclass(frozen=True)
class Watch:
    """What else happens in a simulation, and who is told of it.

    Attributes:
      swim: nodes find out by SWIM who is there; None: by nobody but the core's own patience.
      relink: where given, a node whose view changed gets the links of those who are there in it;
        else a dead neighbour's place stays empty, and it is not waited for.
      on_round: told of every average, in the order of time: (seconds, node, average).
      on_change: told of every change of a view: (seconds, observer, change).
      on_send: told of every sending: (node, contribution, to how many).
      codec: of contributions; None for tensors as they are.
      on_bytes: told of every coded sending: (node, bytes of values and scales).
      keep_rounds: whether `Result.rounds` is filled.
    """

    swim: SwimOptions | None = None
    relink: Relink | None = None
    on_round: Callable[[float, str, RoundDone], object] = lambda *_: None
    on_change: Callable[[float, str, Changed], object] = lambda *_: None
    on_send: Callable[[str, RoundContribution, int], object] = lambda *_: None
    codec: Codec | None = None
    on_bytes: Callable[[str, int], object] = lambda *_: None
    keep_rounds: bool = True


NO_WATCH = Watch()


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
      members: the members' protocol at the end, where there is one.
    """

    tensors: Mapping[str, Tensors]
    rounds: Mapping[str, Sequence[RoundDone]]
    finished: frozenset[str]
    seconds: float
    members: VirtualMembers | None = None
