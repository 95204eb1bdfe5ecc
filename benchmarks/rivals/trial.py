"""One visit to a system: fresh processes average, once or more, and what that came to."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rivals import loopback
from rivals.group import Group
from rivals.systems import Way
from tfplus.wire.certs import create_ca, issue

# Neither the first, which starts p2pfl's experiment, nor the last.
VICTIM = 3
EXACT = 1e-6
_START_S = 120.0
_CHECK_S = 60.0


@dataclass(frozen=True)
class Setup:
    """What all systems are given alike.

    Attributes:
      count: peers, each a process of its own.
      values: length of the vector, float32.
      limit_s: after which an averaging counts as stalled.
      patience_s: how long a peer waits for others, where its system asks for that.
    """

    count: int
    values: int
    limit_s: float
    patience_s: float


@dataclass(frozen=True)
class Averaging:
    """One averaging.

    Attributes:
      way: name of the system's way.
      version: of the system.
      killed_s: when a peer was killed, seconds from the beginning; None where none was.
      seconds: until the last one was done; None where that was not within the limit.
      agreed_s: until all who were there had the same to 1e-6; None where they never had.
      loopback_bytes: until all were done.
      cpu_s: processor time of all, of the killed one until then.
      stalled: how many came to no end.
      failed: what was said by those that failed, each once.
      error: the largest difference from the mean of all; None where nobody has a result.
      error_of_survivors: the same from the mean of those who were not killed.
      spread: the largest difference between two of them, relative to the largest value.
    """

    way: str
    version: str
    killed_s: float | None
    seconds: float | None
    agreed_s: float | None
    loopback_bytes: int
    cpu_s: float
    stalled: int
    failed: tuple[str, ...]
    error: float | None
    error_of_survivors: float | None
    spread: float | None

    @property
    def exact(self) -> bool:
        """Whether everybody ended with the mean of all."""
        return not self.stalled and self.error is not None and self.error <= EXACT


@dataclass
class _Ended:
    messages: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    begun_at: float = 0.0
    carried: int = 0
    cpu_s: float = 0.0


def visit(
    way: Way,
    setup: Setup,
    times: int = 1,
    kill_after_s: float | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> list[Averaging]:
    """Starts all peers of a system, lets them average, ends them.

    Args:
      way: which system, and how.
      setup: as for the others.
      times: how often they average, from the same vectors.
      kill_after_s: kill one so long after they began; of one averaging alone.
      say: told what is going on.

    Raises:
      SystemExit: the peers do not start.
    """
    rounds = way.rounds if kill_after_s is None else way.rounds_after_death
    found: list[Averaging] = []
    with tempfile.TemporaryDirectory(prefix="rivals-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if way.environment is None:
            _certificates(folder / "shared", setup.count)
        with Group(way, setup.count, setup.values, folder, rounds, setup.patience_s) as group:
            about = _all(group, "ready", setup.count)
            group.tell("meet", others=[about[i]["about"] for i in range(setup.count)])
            _all(group, "met", setup.count)
            for number in range(times):
                group.tell("prepare")
                _all(group, "prepared", setup.count)
                say(f"averaging {number + 1} of {times}")
                ended = _average(group, setup, kill_after_s)
                found.append(
                    _judged(way, setup, about[0]["about"]["version"], group, ended, kill_after_s)
                )
                if group.gone or found[-1].stalled:
                    break
    return found


def agreed_at(rounds: Sequence[Sequence[dict[str, Any]]]) -> float | None:
    """When all had the same to 1e-6 for the first time: the last one's end of the first such round.

    Args:
      rounds: of each peer, with `round`, `at`, `sample`.
    """
    by_round: dict[int, list[dict[str, Any]]] = {}
    for told in rounds:
        for message in told:
            by_round.setdefault(message["round"], []).append(message)
    for _, messages in sorted(by_round.items()):
        if len(messages) == len(rounds) and spread_of([m["sample"] for m in messages]) <= EXACT:
            return max(m["at"] for m in messages)
    return None


def spread_of(samples: Sequence[Sequence[float]]) -> float:
    """The largest difference between two vectors, relative to the largest value."""
    values = np.array(samples)
    return float(np.ptp(values, axis=0).max() / np.abs(values).max())


def _average(group: Group, setup: Setup, kill_after_s: float | None) -> _Ended:
    ended = _Ended()
    for told in group.rounds.values():
        told.clear()
    carried, cpu_s = loopback.bytes_so_far(), group.cpu_s()
    ended.begun_at = time.monotonic()
    group.tell("go")
    until = ended.begun_at + setup.limit_s
    if kill_after_s is not None:
        ended.messages = group.hear("averaged", ended.begun_at + kill_after_s)
        cpu_s -= group.cpu_s()
        group.kill(VICTIM)
        cpu_s += group.cpu_s()
    ended.messages = group.hear("averaged", until, ended.messages)
    ended.carried = loopback.bytes_so_far() - carried
    ended.cpu_s = group.cpu_s() - cpu_s
    return ended


def _judged(
    way: Way,
    setup: Setup,
    version: str,
    group: Group,
    ended: _Ended,
    killed_s: float | None,
) -> Averaging:
    others = [i for i in range(setup.count) if killed_s is None or i != VICTIM]
    done = {i: m for i, m in ended.messages.items() if i in others and not m["failed"]}
    ends = [m["at"] - ended.begun_at for m in done.values()]
    everybody = list(range(setup.count))
    checked: dict[int, dict[str, Any]] = {}
    if len(done) == len(others):
        group.tell("check", of=[everybody, others])
        checked = group.hear("checked", time.monotonic() + _CHECK_S)
    errors = [m["errors"] for m in checked.values()]
    samples = [m["sample"] for m in done.values()]
    agreed = agreed_at([group.rounds[i] for i in others])
    spread = spread_of(samples) if samples else None
    if agreed is None and len(done) == len(others) and spread is not None and spread <= EXACT:
        agreed = ended.begun_at + max(ends)
    said = [m["failed"] for i, m in ended.messages.items() if i in others and m["failed"]]
    said += [words for i, words in group.gone.items() if i in others]
    return Averaging(
        way=way.name,
        version=version,
        killed_s=killed_s,
        seconds=max(ends) if len(done) == len(others) else None,
        agreed_s=agreed - ended.begun_at if agreed is not None else None,
        loopback_bytes=ended.carried,
        cpu_s=ended.cpu_s,
        stalled=len(others) - len(done),
        failed=tuple(dict.fromkeys(said)),
        error=max((e[0] for e in errors), default=None),
        error_of_survivors=max((e[1] for e in errors), default=None),
        spread=spread,
    )


def _all(group: Group, what: str, count: int) -> dict[int, dict[str, Any]]:
    found = group.hear(what, time.monotonic() + _START_S)
    if len(found) < count:
        why = next(iter(group.gone.values()), f"nothing came within {_START_S:.0f} s")
        raise SystemExit(f"{count - len(found)} of {count} peers did not come to '{what}': {why}")
    return found


def _certificates(folder: Path, count: int) -> None:
    """A project's authority, and a certificate for each peer, as `tfplus certs` makes them."""
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(folder / "ca", now)
    for index in range(count):
        name = f"peer-{index}"
        issue(name, ["127.0.0.1"], folder / "ca", folder / name, now, role="peer")
