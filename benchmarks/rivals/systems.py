"""The systems that average, the ways in which each can, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Installed:
    """An environment of its own.

    Attributes:
      name: of the environment.
      requirements: what pip installs.
    """

    name: str
    requirements: Sequence[str]


@dataclass(frozen=True)
class Way:
    """A way in which a system averages.

    Attributes:
      name: in the table, and on the command line.
      program: its file in `peers/`.
      way: told to the program.
      rounds: after which all have the mean, where nobody dies.
      rounds_after_death: so many where one dies; the survivors may agree later.
      environment: where it runs; None for this one.
      said: one line for the table's legend.
      repeats: whether the same processes can average again.
    """

    name: str
    program: str
    way: str
    environment: Installed | None
    said: str
    rounds: int = 1
    rounds_after_death: int = 1
    repeats: bool = True


HIVEMIND = Installed("hivemind", ("hivemind==1.1.12", "torch==2.13.0"))
# p2pfl pins numpy below 2 and an old `datasets`, and does not say what these need to be old for.
P2PFL = Installed("p2pfl", ("p2pfl[dp]==0.4.4", "huggingface-hub<0.26", "pyarrow<23"))

WAYS = {
    way.name: way
    for way in (
        Way(
            "tfplus mesh",
            "tfplus_peer.py",
            "mesh",
            None,
            "everybody to everybody, one round",
            rounds_after_death=3,
        ),
        Way(
            "tfplus one-peer-exponential",
            "tfplus_peer.py",
            "one-peer-exponential",
            None,
            "one neighbour a round, three rounds",
            rounds=3,
            rounds_after_death=12,
        ),
        Way(
            "tfplus by parts",
            "tfplus_peer.py",
            "parts",
            None,
            "each averages an eighth for all, two rounds",
            rounds=2,
            rounds_after_death=6,
        ),
        Way(
            "hivemind",
            "hivemind_peer.py",
            "group",
            HIVEMIND,
            "`DecentralizedAverager`, one group of eight: each peer averages an eighth",
            rounds_after_death=3,
        ),
        Way(
            "p2pfl",
            "p2pfl_peer.py",
            "line",
            P2PFL,
            "one round of FedAvg in which nobody trains, connected in a line as its examples are",
            repeats=False,
        ),
    )
}
