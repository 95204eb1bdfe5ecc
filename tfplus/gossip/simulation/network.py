"""A network in memory that loses, delays, doubles and cuts off, by a seed and a virtual clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Partition:
    """From `start_s` to `end_s` nothing passes between `group` and everyone else."""

    start_s: float
    end_s: float
    group: frozenset[str]

    def cuts(self, sender: str, receiver: str, now: float) -> bool:
        """Whether it stands between the two at this moment."""
        inside = (sender in self.group) != (receiver in self.group)
        return inside and self.start_s <= now < self.end_s


@dataclass(frozen=True)
class Faults:
    """What the network does to messages; the default is a perfect one.

    Attributes:
      drop: chance that a message is lost, 0 to 1.
      duplicate: chance that it arrives a second time.
      delay_s: shortest and longest way; each copy draws its own, so messages overtake each other.
      partitions: cuts, which lose what is sent across them.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    delay_s: tuple[float, float] = (0.01, 0.01)
    partitions: Sequence[Partition] = ()


def arrivals(
    faults: Faults, rng: random.Random, sender: str, receiver: str, now: float
) -> list[float]:
    """Decides what becomes of one message.

    Args:
      faults: how bad the network is.
      rng: drawn from in a fixed order, so that a seed replays.
      sender: who sends.
      receiver: who shall get it.
      now: when it is sent, virtual seconds.

    Returns:
      When its copies arrive; none if it is lost.
    """
    lost = rng.random() < faults.drop
    copies = 2 if rng.random() < faults.duplicate else 1
    times = [now + rng.uniform(*faults.delay_s) for _ in range(copies)]
    if lost or any(p.cuts(sender, receiver, now) for p in faults.partitions):
        return []
    return times
