"""A plan of disturbances is carried out and ended: what the network loses at each point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from churn.disturber import LOSS, Disturber
from churn.events import Disturbance

NAMES = ("n0", "n1", "n2", "n3")


class Net:
    """A network that keeps what it is told."""

    def __init__(self) -> None:
        self.addresses = dict.fromkeys(NAMES, "")
        self.now: tuple[float, Mapping[str, Collection[str]]] = (0.0, {})

    def weather(self, loss: float, cut: Mapping[str, Collection[str]]) -> None:
        self.now = loss, {name: set(others) for name, others in cut.items()}

    @property
    def quiet(self) -> bool:
        return self.now[0] == 0 and not any(self.now[1].values())


class Agents:
    """Agents that keep what is done to them."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *told: self.done.append((name, *map(str, told)))


def disturber(*plan: Disturbance) -> tuple[Disturber, Net, Agents]:
    net, agents = Net(), Agents()
    return Disturber(agents, net, list(plan)), net, agents  # type: ignore[arg-type]


def test_a_partition_and_lost_packets_end_for_good() -> None:
    cut = Disturbance(2, ("n1", "n2"), "cut", 3)
    loss = Disturbance(3, (), "loss", 2)
    one, net, _ = disturber(cut, loss)
    one.at(1, set())
    assert net.quiet
    one.at(2, set())
    sides = {"n0": {"n1", "n2"}, "n3": {"n1", "n2"}, "n1": {"n0", "n3"}, "n2": {"n0", "n3"}}
    assert net.now == (0.0, sides)
    one.at(3, {"n3"})
    assert net.now == (LOSS, sides)
    # It is due, and not seen yet by the one that counts.
    one.at(5, {"n3"})
    assert net.now == (0.0, sides)
    one.at(6, {"n2", "n3"})
    assert net.quiet


def test_what_ends_together_ends() -> None:
    one, net, agents = disturber(
        Disturbance(2, ("n1", "n2"), "cut", 1),
        Disturbance(2, (), "loss", 1),
        Disturbance(2, ("n3",), "stop", 1),
    )
    one.at(2, set())
    assert not net.quiet
    one.at(2, set(), over=True)
    assert net.quiet
    assert [kind for kind, *_ in agents.done] == ["signal", "signal"]
