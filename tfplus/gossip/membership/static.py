"""Static membership: neighbours are what the node was told when it was started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfplus.errors import UsageError
from tfplus.gossip.membership.member import Member

Topology = Callable[[Sequence[str]], Mapping[str, tuple[str, ...]]]


class StaticMembership:
    """Neighbours that stay.

    Args:
      own: the node's own name.
      neighbours: in order.

    Raises:
      UsageError: the node is its own neighbour, or one comes twice.
    """

    def __init__(self, own: str, neighbours: Sequence[Member]) -> None:
        names = [member.name for member in neighbours]
        for name in names:
            if name == own or names.count(name) > 1:
                raise UsageError(
                    f"neighbour '{name}': expected names of others, each once; this is '{own}'"
                )
        self.own = own
        self._neighbours = tuple(neighbours)

    def neighbours(self, now: float) -> tuple[Member, ...]:
        """Returns the same neighbours at any moment."""
        return self._neighbours


def static_network(addresses: Mapping[str, str], topology: Topology) -> dict[str, StaticMembership]:
    """Tells every node of a network its neighbours.

    Args:
      addresses: name → address of each node, in the order that the topology goes by.
      topology: who is a neighbour of whom, such as `topology.ring`.

    Examples:
      >>> from tfplus.gossip.membership.topology import ring
      >>> network = static_network({"a": "pi1:7001", "b": "pi2:7001", "c": "pi3:7001"}, ring)
      >>> [m.address for m in network["a"].neighbours(0.0)]
      ['pi3:7001', 'pi2:7001']
    """
    told = topology(list(addresses))
    return {
        name: StaticMembership(name, [Member(n, addresses[n]) for n in told[name]])
        for name in addresses
    }
