"""What a node is told, and what it knows: the state that `machine.step` replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tfplus.gossip.core.checks import Schema
from tfplus.gossip.core.patience import patience_s
from tfplus.gossip.core.peers import Peer
from tfplus.gossip.links import Links, Schedule, in_round, linked
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.registry import METROPOLIS, Mixing

Phase = Literal["new", "training", "waiting", "finished"]


@dataclass(frozen=True)
class NodeConfig:
    """What a node is told before it begins.

    Attributes:
      name: its own.
      incarnation: greater than in any earlier life of it.
      neighbours: their names.
      rounds: how many rounds the run has.
      round_timeout_s: how long to wait for neighbours after local training, at most: until it is
        known how late a neighbour usually comes, see `patience`. Longer than the slowest neighbour
        is late, or rounds are averaged without it.
      schema: name → (shape, dtype) of the slices that it holds.
      max_staleness: how many rounds old a contribution may be when used. 1 takes back a neighbour
        that was just too late; more mixes in weights that the others have left behind.
      mixing: how it averages.
      schedule: its links by round; empty where every neighbour is one, both ways, in every round.
      members: who may become a neighbour later: what they send is taken before the link is there.
      looks: whether the shell can find out that a neighbour is gone, see `Look`.
    """

    name: str
    incarnation: int
    neighbours: tuple[str, ...]
    rounds: int
    round_timeout_s: float
    schema: Schema
    max_staleness: int = 1
    mixing: Mixing = METROPOLIS
    schedule: Schedule = ()
    members: frozenset[str] = frozenset()
    looks: bool = False


@dataclass(frozen=True, eq=False)
class State:
    """All that a node knows; replaced by `step`, never changed.

    Attributes:
      config: what it was told.
      round: the round under way: the first one that is not averaged yet.
      phase: what it is doing.
      peers: what it knows of each neighbour, of now or before.
      schedule: its links by round.
      own: its contribution to the round, while it waits.
      began_at: when local training of the round began, monotonic seconds.
      local_done_at: when it ended; that of the round before while it goes on.
      before_done_at: when that of the round before `local_done_at` ended.
      look_at: when to look for those who are late.
    """

    config: NodeConfig
    round: int
    phase: Phase
    peers: Mapping[str, Peer]
    schedule: Schedule
    own: RoundContribution | None = None
    began_at: float = 0.0
    local_done_at: float = 0.0
    before_done_at: float = 0.0
    look_at: float = 0.0

    @property
    def links(self) -> Links:
        """The links of the round under way."""
        return in_round(self.schedule, self.round)

    @property
    def deadline(self) -> float | None:
        """When a `Tick` is due, monotonic seconds; None while there is nothing to wait for."""
        if self.phase != "waiting":
            return None
        late = [n for n in self.links.awaits if self.peers[n].awaited(self.round)]
        due = max(map(self.waits_until, late), default=self.local_done_at)
        return min(due, self.look_at) if self.config.looks else due

    @property
    def degree(self) -> int:
        """How many neighbours it reckons with in this round, 1 at least; no suspected ones."""
        awaits = self.links.awaits
        return max(1, sum(not self.peers[name].suspected for name in awaits))

    def waits_until(self, peer: str) -> float:
        """Until when a neighbour is waited for, monotonic seconds; while it waits."""
        trained_s = self.local_done_at - self.began_at
        late = self.peers[peer].lateness
        return self.local_done_at + patience_s(late, trained_s, self.config.round_timeout_s)

    def late_s(self, round: int, now: float) -> float | None:
        """How late a contribution to a round comes now; None where that is not known any more."""
        waiting = self.phase == "waiting"
        if round > self.round or (round == self.round and not waiting):
            return 0.0
        if round < self.round - 1:
            return None
        own_done_at = (
            self.local_done_at if waiting == (round == self.round) else self.before_done_at
        )
        return max(0.0, now - own_done_at)


def initial_state(
    config: NodeConfig, first_round: int = 1, counted: Mapping[str, int] = MappingProxyType({})
) -> State:
    """Builds the state before `Started`.

    Args:
      config: what the node is told.
      first_round: 1, or the round after the last one that an earlier life of the node finished.
      counted: neighbour → the newest round of its that an earlier life of the node has counted. It
        may bring that once more, where the earlier life died before it answered.
    """
    schedule = config.schedule or (Links.both(config.neighbours),)
    names = dict.fromkeys((*config.neighbours, *linked(schedule), *counted))
    peers = MappingProxyType({name: Peer(last_used=counted.get(name, 0)) for name in names})
    return State(config, first_round, "new", peers, schedule)
