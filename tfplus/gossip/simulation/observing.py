"""Adds up what a simulated run does, while it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.gossip.membership.swim.messages import Changed, Status
from tfplus.gossip.messages import RoundDone
from tfplus.gossip.simulation.report import Detection, RoundFigures
from tfplus.gossip.simulation.setup import Crash

SLICE = "shared/x"
Tell = Callable[[dict[str, Any]], object]


class Agreement:
    """How far nodes are from agreeing, by round.

    Args:
      values: float64 [nodes, length], what they begin with.
    """

    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        self._mean = values.mean(axis=0)
        self._unit = float(np.sqrt(((values - self._mean) ** 2).sum(axis=1).mean())) or 1.0
        self._sums: dict[int, _Sums] = {}

    def add(self, at_s: float, done: RoundDone) -> None:
        """Takes one node's average in."""
        sums = self._sums.setdefault(done.round, _Sums(np.zeros_like(self._mean)))
        # Around the mean, so that small distances are not lost in large values.
        offset = done.tensors[SLICE].astype(np.float64).ravel() - self._mean
        sums.count += 1
        sums.offset += offset
        sums.squares += float(offset @ offset)
        sums.missing += len(done.missing)
        sums.last_at_s = at_s

    def figures(self) -> tuple[RoundFigures, ...]:
        """What it came to."""
        return tuple(self._of(round) for round in sorted(self._sums))

    def _of(self, round: int) -> RoundFigures:
        sums = self._sums[round]
        drift = float(np.linalg.norm(sums.offset / sums.count))
        variance = max(0.0, sums.squares / sums.count - drift**2)
        return RoundFigures(
            round,
            sums.count,
            float(np.sqrt(variance)) / self._unit,
            drift / self._unit,
            sums.missing,
            sums.last_at_s,
        )


@dataclass
class _Sums:
    offset: npt.NDArray[np.float64]
    count: int = 0
    squares: float = 0.0
    missing: int = 0
    last_at_s: float = 0.0


def measured_rate(figures: Sequence[RoundFigures]) -> float | None:
    """By what factor a round shrinks the error, over the second half of the rounds that tell.

    Below 1e-5 float32's rounding is part of it, and at the beginning all eigenvalues are.
    """
    telling = [f for f in figures if f.error > 1e-5]
    last = telling[len(telling) // 2 :]
    if len(last) < 3 or last[0].error <= 0:
        return None
    span = last[-1].round - last[0].round
    return float((last[-1].error / last[0].error) ** (1 / span)) if span else None


class Trace:
    """A digest of all that happens, and where wanted each of it as a line.

    Args:
      tell: gets every happening.
    """

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._digest = hashlib.sha256()

    def round(self, at_s: float, node: str, done: RoundDone) -> None:
        """An average."""
        said = (at_s, node, done.round, done.counted, done.missing, done.waited_s)
        self._digest.update(repr(said).encode() + done.tensors[SLICE].tobytes())
        if self._tell is not None:
            self._tell(
                {
                    "at_s": at_s,
                    "node": node,
                    "event": "round",
                    "round": done.round,
                    "counted": list(done.responders),
                    "missing": list(done.missing),
                    "waited_s": done.waited_s,
                }
            )

    def change(self, at_s: float, observer: str, change: Changed) -> None:
        """A change of a view."""
        said = (at_s, observer, change.member, int(change.status), change.incarnation)
        self._digest.update(repr(said).encode())
        if self._tell is not None:
            status = change.status.name.lower()
            self._tell(
                {
                    "at_s": at_s,
                    "node": observer,
                    "event": status,
                    "member": change.member,
                    "incarnation": change.incarnation,
                }
            )

    @property
    def sha256(self) -> str:
        """Over all that happened, hex."""
        return self._digest.hexdigest()


@dataclass
class _Gone:
    crash: Crash
    suspected_at: float | None = None
    dead_at: float | None = None
    unaware: set[str] = field(default_factory=set[str])
    all_at: float | None = None
    doubtful: set[str] = field(default_factory=set[str])
    alive_at: float | None = None


class Detections:
    """Who found out when that somebody was gone.

    Args:
      names: all members.
      crashes: who goes when.
      up: whether a member is there now.
    """

    def __init__(
        self, names: Sequence[str], crashes: Sequence[Crash], up: Callable[[str], bool]
    ) -> None:
        self._names = names
        self._up = up
        self._gone: dict[str, list[_Gone]] = {}
        for crash in crashes:
            self._gone.setdefault(crash.node, []).append(_Gone(crash))
        self._declared: set[tuple[str, int]] = set()
        self.false_deaths = 0

    def change(self, at_s: float, observer: str, change: Changed) -> None:
        """Takes in a change of a view."""
        gone = self._now(change.member, at_s)
        said = (change.member, change.incarnation)
        if change.status is Status.DEAD and said not in self._declared:
            # News of a death that was one may arrive behind the return.
            self._declared.add(said)
            self.false_deaths += self._up(change.member)
        if gone is None or at_s >= gone.crash.back_s:
            if gone is not None and change.status is Status.ALIVE:
                gone.doubtful.discard(observer)
                if not self._still(gone.doubtful) and gone.alive_at is None:
                    gone.alive_at = at_s
            return
        if change.status is Status.SUSPECT and gone.suspected_at is None:
            gone.suspected_at = at_s
        if change.status is Status.DEAD:
            if gone.dead_at is None:
                gone.dead_at = at_s
                gone.unaware = {n for n in self._names if n != change.member and self._up(n)}
            gone.unaware.discard(observer)
            gone.doubtful.add(observer)
            if not self._still(gone.unaware) and gone.all_at is None:
                gone.all_at = at_s

    def figures(self) -> tuple[Detection, ...]:
        """Of every node that went, in the order of time."""
        all_gone = [g for found in self._gone.values() for g in found]
        all_gone.sort(key=lambda g: g.crash.at_s)
        return tuple(
            Detection(
                g.crash.node,
                g.crash.at_s,
                _since(g.suspected_at, g.crash.at_s),
                _since(g.dead_at, g.crash.at_s),
                _since(g.all_at, g.crash.at_s),
                _since(g.alive_at, g.crash.back_s),
            )
            for g in all_gone
        )

    def _now(self, member: str, at_s: float) -> _Gone | None:
        past = [g for g in self._gone.get(member, ()) if g.crash.at_s <= at_s]
        return past[-1] if past else None

    def _still(self, names: set[str]) -> bool:
        return any(self._up(name) for name in names)


def _since(at_s: float | None, begin_s: float) -> float | None:
    return None if at_s is None else at_s - begin_s
