"""What every peer does beside its system: it makes its vector and is told what to do, by lines.

Runs under every system's own Python, with numpy and nothing else. Lines are JSON objects; times in
them are seconds of the machine's monotonic clock, which all processes share:

    in                                 out
                                       {"what": "ready", "about": {...}}
    {"what": "meet", "others": [...]}  {"what": "met"}
    {"what": "prepare"}                {"what": "prepared"}
    {"what": "go"}                     {"what": "round", "round": 1, "at": ..., "sample": [...]}
                                       {"what": "averaged", "at": ..., "failed": ""}
    {"what": "check", "of": [[0, 1]]}  {"what": "checked", "errors": [...]}
    {"what": "end"}

`prepare` may come again behind `averaged`. `error` is the largest difference from the mean of the
vectors of some peers, relative to the largest value of that mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

SAMPLED = 1000
_MOST_WHY = 300


@dataclass(frozen=True)
class Options:
    """What a peer is started with.

    Attributes:
      index: its number, from 0.
      count: how many peers there are.
      values: length of the vector.
      folder: of this peer's files.
      shared: of files for all peers.
      way: which of its system's ways it goes, such as a topology.
      rounds: how many rounds at most, where the system has rounds.
      patience_s: how long it waits for others, where the system asks for that.
    """

    index: int
    count: int
    values: int
    folder: Path
    shared: Path
    way: str
    rounds: int
    patience_s: float


class System(Protocol):
    """One peer of a system."""

    def about(self) -> dict[str, Any]:
        """Its version, and where the others find it."""
        ...

    def meet(self, others: Sequence[dict[str, Any]]) -> None:
        """Learns of all peers, itself among them, in order."""
        ...

    def prepare(self, values: np.ndarray) -> None:
        """Takes the vector that the next averaging begins with, float32 [values]."""
        ...

    def average(self, told: Callable[[int, np.ndarray], None]) -> np.ndarray:
        """Averages with the others; tells of rounds, where it has some. Returns float32 [values].

        Raises:
          Exception: it did not come to an end.
        """
        ...

    def close(self) -> None:
        """Ends whatever it started."""
        ...


def vector(index: int, values: int) -> np.ndarray:
    """What a peer brings: float32 [values], from 0 to 1."""
    return np.random.Generator(np.random.SFC64(index)).random(values, dtype=np.float32)


def error(found: np.ndarray, of: Sequence[int]) -> float:
    """The largest difference from the mean of some peers' vectors, relative to its largest."""
    total = np.zeros(found.size, np.float64)
    for index in of:
        total += vector(index, found.size)
    total /= len(of)
    largest = np.abs(total).max()
    return float(np.abs(total - found).max() / largest)


def sample(found: np.ndarray) -> list[float]:
    """A part of a vector, of places all over it, that tells two vectors apart."""
    places = np.linspace(0, found.size - 1, min(SAMPLED, found.size)).astype(np.int64)
    return [float(v) for v in found[places]]


def serve(make: Callable[[Options], System]) -> None:
    """Runs a peer until it is told to end, or until nobody is there who could."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("index", "count", "values", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("folder", "shared"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--way", required=True)
    parser.add_argument("--patience-s", type=float, required=True)
    options = Options(**vars(parser.parse_args()))
    # Systems print whatever they like: standard output is for the lines alone.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(what: str, **more: Any) -> None:
        lines.write(json.dumps({"what": what, **more}) + "\n")
        lines.flush()

    system = make(options)
    try:
        say("ready", about=system.about())
        _obey(system, options, say)
    finally:
        system.close()


def _obey(system: System, options: Options, say: Callable[..., None]) -> None:
    found = vector(options.index, options.values)

    def told(round: int, now: np.ndarray) -> None:
        say("round", round=round, at=time.monotonic(), sample=sample(now))

    for line in sys.stdin:
        order = json.loads(line)
        match order["what"]:
            case "meet":
                system.meet(order["others"])
                say("met")
            case "prepare":
                system.prepare(vector(options.index, options.values))
                say("prepared")
            case "go":
                failed = ""
                try:
                    found = system.average(told)
                except Exception as why:
                    traceback.print_exc()
                    failed = f"{type(why).__name__}: {why}"[:_MOST_WHY]
                at = time.monotonic()
                say("averaged", at=at, failed=failed, sample=[] if failed else sample(found))
            case "check":
                say("checked", errors=[error(found, of) for of in order["of"]])
            case _:
                return
