"""A state machine of one node among hostile events: nothing is ever counted twice.

The oracle is a ledger outside of the core, kept over all lives of the node.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, State, initial_state
from tfplus.gossip.links import Links
from tfplus.gossip.messages import (
    Event,
    LinksChanged,
    LocalDone,
    PeerFinished,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.tensors.slice_set import SliceSet

NAME, ROUNDS = "shared/k", 12
PEERS = ("a", "b", "c")
peers = st.sampled_from(PEERS)


class OneNode(RuleBasedStateMachine):
    """A node of which everything around it may go wrong in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.life = 0
        self.state: State | None = None
        self.ledger: Counter[tuple[str, int, int]] = Counter()
        self.by_round: Counter[tuple[str, int]] = Counter()
        self.last_done = 0
        self.counted: dict[str, int] = {}
        self.training: int | None = None

    def born(self) -> None:
        self.life += 1
        config = NodeConfig(
            "me", self.life, ("a", "b"), ROUNDS, 10.0, {NAME: ((1,), "float32")},
            members=frozenset(PEERS),
        )  # fmt: skip
        self.state = initial_state(config, self.last_done + 1, self.counted)
        self.feed(Started(self.now))

    def feed(self, event: Event) -> None:
        assert self.state is not None
        before = self.state
        self.state, effects = step(before, event)
        for effect in effects:
            if isinstance(effect, TrainLocally):
                self.training = effect.round
            if isinstance(effect, RoundDone):
                assert effect.round > self.last_done
                self.last_done = effect.round
                linked = before.schedule if not isinstance(event, LinksChanged) else event.schedule
                assert set(effect.responders) <= set(linked[0].awaits)
                for c in effect.counted:
                    self.ledger[c.peer, c.incarnation, c.round] += 1
                    self.by_round[c.peer, c.round] += 1
                    self.counted[c.peer] = max(self.counted.get(c.peer, 0), c.round)

    @initialize()
    def begins(self) -> None:
        self.born()

    @rule(peer=peers, incarnation=st.integers(0, 2), ahead=st.integers(-1, 1))
    def hears(self, peer: str, incarnation: int, ahead: int) -> None:
        assert self.state is not None
        # Near the node's own round, where it may be used.
        round = self.state.round + ahead
        tensors = SliceSet({NAME: np.ones(1, np.float32)})
        said = RoundContribution(peer, incarnation, round, 2, tensors, {NAME: 1.0})
        self.feed(Received(self.now, said))

    @rule(incarnation=st.integers(0, 2), ahead=st.integers(-1, 1))
    def hears_both_neighbours(self, incarnation: int, ahead: int) -> None:
        self.hears("a", incarnation, ahead)
        self.hears("b", incarnation, ahead)

    @rule()
    def trains(self) -> None:
        if self.training is not None:
            tensors = SliceSet({NAME: np.zeros(1, np.float32)})
            self.feed(LocalDone(self.now, self.training, tensors, {NAME: 1.0}))

    @rule()
    def ends_a_round(self) -> None:
        self.trains()
        self.time_passes(11.0)

    @rule(wait_s=st.floats(0, 15))
    def time_passes(self, wait_s: float) -> None:
        self.now += wait_s
        self.feed(Tick(self.now))

    @rule(links=st.sets(peers))
    def membership_changes(self, links: set[str]) -> None:
        self.feed(LinksChanged(self.now, (Links.both(sorted(links)),)))

    @rule(peer=peers, finished=st.booleans())
    def gives_a_peer_up(self, peer: str, finished: bool) -> None:
        event = PeerFinished(self.now, peer) if finished else PeerUnreachable(self.now, peer)
        self.feed(event)

    @rule()
    def dies_and_comes_back(self) -> None:
        self.training = None
        self.born()

    @invariant()
    def nothing_counts_twice(self) -> None:
        # Of one contribution, and of all lives of a peer together.
        assert max(self.ledger.values(), default=0) <= 1
        assert max(self.by_round.values(), default=0) <= 1

    @invariant()
    def memory_is_bounded(self) -> None:
        if self.state is not None:
            assert set(self.state.peers) <= set(PEERS)
            assert all(len(p.pending) <= 2 for p in self.state.peers.values())


OneNode.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, derandomize=True
)
test_one_node = pytest.mark.slow(OneNode.TestCase)


def test_an_earlier_life_of_a_peer_does_not_count_again() -> None:
    """The sequence that the machine found where a peer's lives were counted apart."""
    node = OneNode()
    node.born()
    node.hears_both_neighbours(incarnation=0, ahead=0)
    node.ends_a_round()
    node.hears("a", incarnation=1, ahead=-1)
    node.ends_a_round()
    assert node.last_done == 2
    assert node.by_round == {("a", 1): 1, ("b", 1): 1}
