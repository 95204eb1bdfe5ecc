"""Averages a vector over eight processes of this machine with tfplus, hivemind and p2pfl, in turn.

usage: scripts/rivals [--systems NAME ...] [--values 10000000] [--visits 2] [--times 2] [--kills 1]
                      [--limit-s 60] [--write docs/gossip.md] [--json FILE]

A visit to a system starts eight fresh processes, which average the same vectors --times times; who
is visited first changes from visit to visit. Then --kills visits each in which one process is
killed (SIGKILL) after half of the system's own median. Each system has an environment of its own
under build/rivals, made by pip the first time. As root the loopback is one of its own, so that
nothing else is counted. Exit code 1 where tfplus does not end with the exact mean.

For example:

  scripts/rivals --systems "tfplus mesh" --values 100000 --visits 1 --times 1
  scripts/rivals --write docs/gossip.md
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path

from support.documents import insert

from rivals import environments, loopback, summary
from rivals.environments import NotInstalledError
from rivals.systems import WAYS, Way
from rivals.trial import Averaging, Setup, visit
from tfplus.measure import environment


def main() -> int:
    """Runs what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/rivals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--systems", nargs="+", default=list(WAYS), metavar="NAME")
    parser.add_argument("--count", type=int, default=8, help="peers")
    parser.add_argument("--values", type=int, default=10_000_000, help="of the vector")
    parser.add_argument("--visits", type=int, default=2, help="undisturbed, of each system")
    parser.add_argument("--times", type=int, default=2, help="averagings of a visit")
    parser.add_argument("--kills", type=int, default=1, help="visits with a kill, of each system")
    parser.add_argument("--limit-s", type=float, default=60.0, help="of an averaging")
    parser.add_argument("--patience-s", type=float, default=30.0, help="of a peer, for others")
    parser.add_argument("--install-only", action="store_true", help="make the environments")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    if unknown := [name for name in given.systems if name not in WAYS]:
        parser.error(f"{unknown[0]}: expected some of {', '.join(WAYS)}")
    ways = installed([WAYS[name] for name in given.systems])
    if given.install_only:
        return 0
    own = loopback.make_own()
    setup = Setup(given.count, given.values, given.limit_s, given.patience_s)
    begun = time.monotonic()
    calm = undisturbed(ways, setup, given.visits, given.times)
    struck = disturbed(ways, setup, calm, given.kills)
    text = report(setup, calm, struck, own, time.monotonic() - begun)
    print(text)
    if given.json:
        runs = [dataclasses.asdict(run) for run in (*calm, *struck)]
        given.json.write_text(json.dumps(runs, indent=1) + "\n")
    if given.write:
        document = insert(given.write.read_text("utf-8"), text, "rivals/__main__")
        given.write.write_text(document, "utf-8")
    return 0 if all(run.exact for run in calm if run.way.startswith("tfplus")) else 1


def installed(ways: list[Way]) -> list[Way]:
    """Those of the systems that can be had here; the others are said and left out."""
    found: list[Way] = []
    for way in ways:
        try:
            environments.python_of(way.environment)
            found.append(way)
        except NotInstalledError as error:
            print(f"{way.name} is left out: {error}", file=sys.stderr)
    return found


def undisturbed(ways: list[Way], setup: Setup, visits: int, times: int) -> list[Averaging]:
    """Visits all systems in turn; the first of one visit is the last of the next."""
    found: list[Averaging] = []
    for number in range(visits):
        first = number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            # Who came to no end is not waited for again.
            if not any(run.stalled for run in found if run.way == way.name):
                found += _visited(way, setup, times if way.repeats else 1, None)
    return found


def disturbed(ways: list[Way], setup: Setup, calm: list[Averaging], kills: int) -> list[Averaging]:
    """The same, and one peer of each is killed after half of what the system takes."""
    found: list[Averaging] = []
    for number in range(kills):
        first = number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            times = [run.seconds for run in calm if run.way == way.name and run.seconds]
            if times:
                found += _visited(way, setup, 1, statistics.median(times) / 2)
    return found


def report(
    setup: Setup, calm: list[Averaging], struck: list[Averaging], own: bool, seconds: float
) -> str:
    """Markdown."""
    about = environment.read()
    whose = "of its own" if own else "of the whole machine"
    return (
        f"{setup.values:,} float32 values ({setup.values * 4 / 1e6:.0f} MB) over {setup.count} "
        f"processes on {about.cpu_model}, {about.cores} cores, a loopback {whose}; medians, with "
        f"the least and the largest. {seconds:.0f} s in all.\n\n"
        f"{summary.legend(calm)}\n\n{summary.undisturbed(calm)}\n\n"
        "One of them killed after half of that time:\n\n"
        f"{summary.disturbed(struck)}"
    )


def _visited(way: Way, setup: Setup, times: int, kill_after_s: float | None) -> list[Averaging]:
    begun = time.monotonic()
    found = visit(way, setup, times, kill_after_s)
    for run in found:
        ended = "no end" if run.seconds is None else f"{run.seconds:.2f} s"
        print(
            f"{way.name}{' with a kill' if kill_after_s else ''}: {ended}, "
            f"{run.loopback_bytes / 1e6:.0f} MB, processor {run.cpu_s:.1f} s, error {run.error}, "
            f"apart {run.spread}{''.join('; ' + why for why in run.failed)}",
            file=sys.stderr,
        )
    print(f"  visit of {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
