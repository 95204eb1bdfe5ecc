"""What goes into the gossip core and what comes out of it: frozen events, effects, contributions.

Time enters as `now`, seconds of the local monotonic clock. A peer's clock is never looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from tfplus.gossip.links import Schedule
from tfplus.tensors.slice_set import SliceSet


@dataclass(frozen=True, eq=False)
class RoundContribution:
    """What one peer brings to one round; counted at most once per (peer, incarnation, round).

    Attributes:
      peer: who trained it.
      incarnation: grows with every start of that peer.
      round: 1 for the first.
      degree: how many neighbours the peer has.
      tensors: the slices it holds.
      slice_weights: samples behind each slice; the same keys.
      schema_hash: `slices.schema_hash` as the peer stated it; empty when it said none.
    """

    peer: str
    incarnation: int
    round: int
    degree: int
    tensors: SliceSet
    slice_weights: Mapping[str, float]
    schema_hash: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "slice_weights", MappingProxyType(dict(self.slice_weights)))

    def only(self, names: Collection[str]) -> RoundContribution:
        """Returns the contribution of those of its slices that are among `names`."""
        held = self.tensors.only(name for name in self.tensors if name in names)
        weights = {name: self.slice_weights[name] for name in held}
        schema = held.schema_hash() if self.schema_hash else ""
        return replace(self, tensors=held, slice_weights=weights, schema_hash=schema)


class Outcome(Enum):
    """What became of a contribution that came in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    REFUSED = "refused"


# --- events: what happens to a node ---------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """The node may begin with its first round."""

    now: float


@dataclass(frozen=True, eq=False)
class LocalDone:
    """Local training of `round` ended with these weights."""

    now: float
    round: int
    tensors: SliceSet
    slice_weights: Mapping[str, float]


@dataclass(frozen=True)
class Received:
    """A contribution came in."""

    now: float
    contribution: RoundContribution


@dataclass(frozen=True)
class PeerUnreachable:
    """The transport gave up sending to a neighbour."""

    now: float
    peer: str


@dataclass(frozen=True)
class PeerFinished:
    """A neighbour answered that its last round is done."""

    now: float
    peer: str


@dataclass(frozen=True)
class LinksChanged:
    """Membership has other links for the node, from the round under way on; see `links`.

    `members` are all who may become a neighbour later, see `NodeConfig`; None where they stay.
    """

    now: float
    schedule: Schedule
    members: frozenset[str] | None = None


@dataclass(frozen=True)
class Tick:
    """Time went by."""

    now: float


Event: TypeAlias = (
    Started | LocalDone | Received | PeerUnreachable | PeerFinished | LinksChanged | Tick
)

# --- effects: what the shell shall do, in this order ----------------------------------------------


@dataclass(frozen=True)
class TrainLocally:
    """Train, then feed `LocalDone` of this round."""

    round: int


@dataclass(frozen=True)
class Send:
    """Bring this contribution to these neighbours."""

    contribution: RoundContribution
    to: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """Find out whether these neighbours, which are late, are gone; `PeerUnreachable` if so."""

    peers: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Reply to the contribution that was just fed; `reason` says why one was refused."""

    outcome: Outcome
    round: int
    reason: str = ""


@dataclass(frozen=True)
class Counted:
    """One contribution that went into an average."""

    peer: str
    incarnation: int
    round: int


@dataclass(frozen=True, eq=False)
class RoundDone:
    """The average of a round: take these weights over and write them down.

    Attributes:
      round: which one.
      tensors: the node's slices after mixing.
      counted: whose contributions went in, sorted by peer, without the node itself.
      missing: neighbours that brought nothing, sorted.
      waited_s: from the end of local training to the average.
    """

    round: int
    tensors: SliceSet
    counted: tuple[Counted, ...]
    missing: tuple[str, ...]
    waited_s: float

    @property
    def responders(self) -> tuple[str, ...]:
        """Names of those whose contributions went in."""
        return tuple(c.peer for c in self.counted)


@dataclass(frozen=True)
class Finished:
    """The run is over for this node; `round` is the last that it has done."""

    round: int


Effect: TypeAlias = TrainLocally | Send | Look | Answer | RoundDone | Finished
