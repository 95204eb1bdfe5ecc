"""What a gossip transport is: it brings a node's contributions to its neighbours.

Receiving is a callback that the node gives to its transport's network: it feeds the core and
returns the core's answer. The contract test holds every transport to what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from tfplus.gossip.messages import RoundContribution


class Delivered(Enum):
    """What became of a sending."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Delivery:
    """The end of one sending.

    Attributes:
      outcome: what became of it.
      round: the neighbour's own round; 0 if it did not say.
      reason: why it was refused or could not be reached; empty otherwise.
    """

    outcome: Delivered
    round: int = 0
    reason: str = ""


Report: TypeAlias = Callable[[str, Delivery], None]
"""(neighbour, end of a sending to it); called from any thread."""


class Transport(Protocol):
    """Brings a node's contributions to all its neighbours.

    - What arrives is what was put, bit for bit; slices that the neighbour is known to lack may be
      left out. It may come more than once, and out of order.
    - Each sending ends in at most one report: the neighbour's answer, or that it cannot be reached
      in time. A contribution that made room for a newer one ends in none.
    - A neighbour that is slow or dead holds up neither the node nor its other neighbours.
    - After `close` nothing arrives any more, and whatever was under way is CANCELLED or not told.
    """

    def put(
        self,
        contribution: RoundContribution,
        give_up_at: float,
        to: Collection[str] | None = None,
    ) -> None:
        """Takes a contribution for neighbours; returns at once.

        Args:
          contribution: what to bring.
          to: their names; all neighbours if None. Those that it has no link to are left out.
          give_up_at: seconds of the node's clock; then who has not answered is unreachable.
        """
        ...

    def drain(self, timeout_s: float) -> bool:
        """Waits until everything is sent or given up; false if that takes longer."""
        ...

    def close(self) -> None:
        """Ends all sending at once."""
        ...
