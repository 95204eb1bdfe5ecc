"""Links by round: to whom a node sends, and for whom it waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Links:
    """A node's links in one round.

    Attributes:
      to: whom it sends its contribution.
      awaits: whose contributions it averages.
      brings: of each in `to`, names of the slices that are for it; None where all are for all.
      takes: of each in `awaits`, names of the slices that are taken from it; None for all.
      adopts: what comes takes the place of the node's own, instead of being averaged with it.
    """

    to: tuple[str, ...]
    awaits: tuple[str, ...]
    brings: Mapping[str, frozenset[str]] | None = None
    takes: Mapping[str, frozenset[str]] | None = None
    adopts: bool = False

    @classmethod
    def both(cls, names: Iterable[str]) -> Links:
        """Links that go both ways, to names that come once each."""
        names = tuple(names)
        return cls(names, names)


Schedule = tuple[Links, ...]
"""A node's links from round to round; behind the last the first comes again. Never empty."""


def in_round(schedule: Schedule, round: int) -> Links:
    """The links of a round; 1 is the first."""
    return schedule[(round - 1) % len(schedule)]


def linked(schedule: Schedule) -> tuple[str, ...]:
    """All whom a node has a link with in any round, each once."""
    if len(schedule) == 1 and schedule[0].to is schedule[0].awaits:
        # As `both` makes it, for most runs: asked for several times a round.
        return schedule[0].to
    return tuple(dict.fromkeys(n for links in schedule for n in (*links.to, *links.awaits)))
