"""What a simulation is of: nodes, links, and what goes wrong, each by a seed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tfplus.errors import UsageError
from tfplus.gossip.compression.registry import link_codec
from tfplus.gossip.membership.registry import TOPOLOGIES
from tfplus.gossip.membership.wiring import REFORMED
from tfplus.gossip.mixing.registry import MIXINGS

MOST_NODES = 20_000
CUSTOM = "custom"


@dataclass(frozen=True)
class Scenario:
    """A simulated run; the default one has no faults.

    Attributes:
      nodes: how many.
      rounds: of averaging.
      topology: one of the registry's, or `custom` with `links`.
      degree: neighbours a node, of `random-regular`.
      links: pairs of nodes, of `custom`.
      mixing: by which rule they average.
      codec: of contributions, with error feedback.
      values: length of the vector that they average.
      seed: of all chance.
      train_s: how long local training takes, virtual seconds.
      stragglers: share of nodes that are slow.
      slowdown: how many times as long those train.
      round_timeout_s: how long a node waits for neighbours.
      loss: chance that a message is lost.
      duplicate: chance that it comes twice.
      delay_s: shortest and longest way of a message.
      churn: share of nodes that crash once, at a time by chance, and come back.
      away_s: for how long.
      partitions: (from, to, share): in that time a share of the nodes is cut off from the others.
      availability: (node, up, down): when a node is there; one that is not listed always is.
      membership: nodes find out by SWIM who is there.
      reform: links are made anew among those who are there: of ring, line, star and mesh.
      period_s: of SWIM.
    """

    nodes: int = 10
    rounds: int = 20
    topology: str = "ring"
    degree: int = 4
    links: tuple[tuple[str, str], ...] = ()
    mixing: str = "metropolis"
    codec: str = "float32"
    values: int = 16
    seed: int = 0
    train_s: float = 1.0
    stragglers: float = 0.0
    slowdown: float = 5.0
    round_timeout_s: float = 10.0
    loss: float = 0.0
    duplicate: float = 0.0
    delay_s: tuple[float, float] = (0.01, 0.05)
    churn: float = 0.0
    away_s: float = 30.0
    partitions: tuple[tuple[float, float, float], ...] = ()
    availability: tuple[tuple[str, float, float], ...] = ()
    membership: bool = True
    reform: bool = True
    period_s: float = 1.0

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise UsageError(f"{name}: expected {least:g} to {most:g}, got {value:g}")
        _one_of("topology", self.topology, (*TOPOLOGIES, CUSTOM))
        _one_of("mixing", self.mixing, tuple(MIXINGS))
        link_codec(self.codec)
        if (self.topology == CUSTOM) != bool(self.links):
            raise UsageError("links: expected with topology 'custom', and with that alone")
        if not 0 <= self.delay_s[0] <= self.delay_s[1] < math.inf:
            raise UsageError(f"delay_s: expected two times that grow, got {list(self.delay_s)}")
        for start, end, share in self.partitions:
            if not (0 <= start < end < math.inf and 0 < share < 1):
                raise UsageError(
                    f"partition {start:g}:{end:g}:{share:g}: expected FROM < TO in seconds and a "
                    "share between 0 and 1"
                )

    @property
    def names(self) -> list[str]:
        """The nodes in the order of the topology."""
        width = len(str(self.nodes - 1))
        return [f"n{i:0{width}}" for i in range(self.nodes)]

    @property
    def reforms(self) -> bool:
        """Whether links are made anew."""
        return self.membership and self.reform and self.topology in REFORMED


_RANGES = (
    ("nodes", 1, MOST_NODES),
    ("rounds", 1, 100_000),
    ("degree", 2, 1000),
    ("values", 1, 10_000_000),
    ("seed", 0, 2**63),
    ("train_s", 0.001, 1e6),
    ("stragglers", 0, 1),
    ("slowdown", 1, 1e6),
    ("round_timeout_s", 0.001, 1e6),
    ("loss", 0, 1),
    ("duplicate", 0, 1),
    ("churn", 0, 1),
    ("away_s", 0.001, 1e9),
    ("period_s", 0.01, 1e4),
)
KEYS = tuple(field.name for field in dataclasses.fields(Scenario))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name} '{value}': expected one of {', '.join(known)}")
