"""The links of those who are there: what a topology comes to when members come and go.

Ring, line, star and mesh are made anew among those who are there. In the others, which hang
together by more links than they need, a place that is empty stays empty.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfplus.gossip.membership import registry
from tfplus.gossip.membership.topology import Graph

# Links that hardly change where one node goes; in the others all would change with it.
REFORMED = ("ring", "line", "star", "mesh")


@dataclass(frozen=True)
class Wiring:
    """A topology by name.

    Attributes:
      topology: one of `registry.GRAPHS`.
      degree: neighbours a node, of `random-regular`.
      seed: of `random-regular`.
    """

    topology: str
    degree: int = 4
    seed: int = 0

    @property
    def reforms(self) -> bool:
        """Whether links are made anew; only then others can be admitted later."""
        return self.topology in REFORMED

    def among(self, names: Sequence[str], there: Collection[str]) -> Graph:
        """The links of those who are there.

        Members whose views are the same get the same links. It may fall apart where links are not
        made anew; `topology.components` says so.

        Args:
          names: all members, in the order of the topology.
          there: those of them that are there; others are not in the graph.

        Raises:
          UsageError: there is no such topology, or it cannot be made of these members.

        Examples:
          >>> dict(Wiring("ring").among(["a", "b", "c", "d"], {"a", "c", "d"}))["a"]
          ('d', 'c')
          >>> dict(Wiring("exponential").among(["a", "b", "c", "d"], {"a", "c"}))["a"]
          ('c',)
        """
        if self.reforms:
            return registry.graph(self.topology, [name for name in names if name in there])
        whole = registry.graph(self.topology, names, degree=self.degree, seed=self.seed)
        return {
            name: tuple(n for n in near if n in there)
            for name, near in whole.items()
            if name in there
        }


def in_order(members: Sequence[str], admitted: Collection[str]) -> tuple[str, ...]:
    """All members in the order that links go by, whoever was admitted first.

    Args:
      members: those from the beginning.
      admitted: those who came later.
    """
    return (*members, *sorted(admitted))
