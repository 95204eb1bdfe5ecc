"""One node's core: fed with events, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, State, initial_state
from tfplus.gossip.messages import (
    Answer,
    Effect,
    Event,
    LocalDone,
    Received,
    RoundContribution,
    RoundDone,
    Started,
)
from tfplus.tensors.slice_set import SliceSet

NAME = "shared/k"


class Node:
    """Feeds one core and keeps what came out."""

    def __init__(
        self, rounds: int = 5, first_round: int = 1, max_staleness: int = 1, looks: bool = False
    ) -> None:
        schema = {NAME: ((1,), "float32")}
        config = NodeConfig("me", 1, ("a", "b"), rounds, 10.0, schema, max_staleness, looks=looks)
        self.state: State = initial_state(config, first_round)
        self.effects: list[Effect] = []

    def feed(self, event: Event) -> tuple[Effect, ...]:
        self.state, effects = step(self.state, event)
        self.effects += effects
        return effects

    def trained(self, round: int, now: float, value: float = 0.0) -> tuple[Effect, ...]:
        tensors = {NAME: np.array([value], np.float32)}
        return self.feed(LocalDone(now, round, SliceSet(tensors), {NAME: 1.0}))

    def hears(self, peer: str, round: int, now: float = 0.0, **more: object) -> Answer:
        answer = self.feed(Received(now, contribution(peer, round, **more)))[0]  # type: ignore[arg-type]
        assert isinstance(answer, Answer)
        return answer

    @property
    def done(self) -> list[RoundDone]:
        return [e for e in self.effects if isinstance(e, RoundDone)]

    def plays_round(self, round: int, now: float, peers: str = "ab") -> None:
        for peer in peers:
            self.hears(peer, round, now)
        self.trained(round, now)


def contribution(
    peer: str,
    round: int,
    *,
    incarnation: int = 1,
    value: float = 3.0,
    degree: int = 2,
    tensors: Mapping[str, np.ndarray] | None = None,
    weights: Mapping[str, float] | None = None,
    schema: str = "",
) -> RoundContribution:
    if tensors is None:
        tensors = {NAME: np.array([value], np.float32)}
    if weights is None:
        weights = dict.fromkeys(tensors, 1.0)
    return RoundContribution(peer, incarnation, round, degree, SliceSet(tensors), weights, schema)


def started(**more: Any) -> Node:
    node = Node(**more)
    node.feed(Started(0.0))
    return node
