"""Who a node talks to: what every membership promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Member:
    """A node that others can reach.

    Attributes:
      name: unique in its network.
      address: where it is reached; empty where names are enough.
    """

    name: str
    address: str = ""


class Membership(Protocol):
    """One node's view of its neighbours. Pure: it changes with what it is told, not by itself.

    - The node itself is never among them, and nobody twice.
    - Where all views of a network are at rest they are symmetric: if a is b's neighbour, b is a's;
      and the network hangs together.
    """

    @property
    def own(self) -> str:
        """The node's own name."""
        ...

    def neighbours(self, now: float) -> tuple[Member, ...]:
        """Its neighbours at a moment, in an order that is the same whenever they are.

        Args:
          now: seconds of the node's monotonic clock.
        """
        ...
