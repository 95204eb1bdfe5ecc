"""A process that keeps features with labels, killed at seeded moments: what is there afterwards.

usage: python benchmarks/features/cache_kills.py [--kills 200] [--seed 0] [--most-ms 40] [--json]

A writer adds samples to one feature cache in batches of 1 to 8, gives them labels, and prints the
number of the last one once `annotate` returned: from then on it is acknowledged. It is killed
(SIGKILL) at a moment drawn between 0 and --most-ms after it began, and another one goes on behind
what is there. After each kill the cache is opened and held against what was acknowledged: exit code
1 where a sample is missing, is there twice, or has another label or other features.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from tfplus.features import schema  # noqa: E402
from tfplus.features.cache import FeatureCache  # noqa: E402

WIDTH, CLASSES, MOST_IN_BATCH = 64, 10, 8


@dataclass(frozen=True)
class Account:
    """What is there, against what was acknowledged.

    Attributes:
      missing: acknowledged samples that are not there.
      doubled: samples that are there more than once.
      wrong: samples with another label, or with other features.
      beyond: samples that are there, and whose acknowledgement did not get out.
    """

    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    beyond: int = 0


def account(acknowledged: int, entries: Sequence[int], held: Mapping[int, bool]) -> Account:
    """Counts.

    Args:
      acknowledged: samples 0 to this number, without it, were.
      entries: number of each labelled entry of the index.
      held: number of each sample that can be read → whether label and features are its own.
    """
    return Account(
        missing=sum(number not in held for number in range(acknowledged)),
        doubled=sum(times > 1 for times in Counter(entries).values()),
        wrong=sum(not is_right for is_right in held.values()),
        beyond=sum(number >= acknowledged for number in held),
    )


def opened(folder: Path, notes: list[str]) -> FeatureCache:
    """The cache that the writer and the check use."""
    return FeatureCache(folder, "maker", "layer", (WIDTH,), hyper="h", note=notes.append)


def row_of(number: int) -> np.ndarray:
    """The features of a sample."""
    return np.random.default_rng(number).random(WIDTH, np.float32)


def write(folder: Path, start: int, seed: int) -> None:
    """Keeps samples from a number on until it is killed."""
    rng, cache, number = np.random.default_rng(seed), opened(folder, []), start
    print("begins", flush=True)
    while True:
        batch = range(number, number + int(rng.integers(1, MOST_IN_BATCH + 1)))
        keys = [n.to_bytes(16, "little") for n in batch]
        cache.add(keys, np.stack([row_of(n) for n in batch]))
        if cache.annotate(keys, [n % CLASSES for n in batch]) != len(batch):
            raise SystemExit("the cache did not keep a batch")
        number = batch.stop
        print(number, flush=True)


def killed(folder: Path, start: int, seed: int, after_s: float) -> int:
    """Runs a writer, kills it; returns how many samples were acknowledged by then."""
    command = [sys.executable, __file__, "--write", str(folder), str(start), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        stdout = writer.stdout or sys.stdin
        if stdout.readline() != "begins\n":
            raise SystemExit("the writer did not begin")
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        # What it said before it died was acknowledged, too; a last line may be cut off.
        lines = stdout.read().split("\n")[:-1]
    return max([start, *map(int, lines)])


def look(folder: Path, acknowledged: int, notes: list[str]) -> tuple[Account, int]:
    """Opens the cache after a kill; returns the account, and how many samples there are."""
    cache = opened(folder, notes)
    found, rows = cache.annotated()
    cache.close()
    held = {
        n: one.label == n % CLASSES and np.array_equal(row, row_of(n))
        for one, row in zip(found, rows, strict=True)
        for n in (int.from_bytes(one.sample, "little"),)
    }
    db = sqlite3.connect(folder / schema.NAME)
    entries = db.execute("SELECT sample FROM entries WHERE label IS NOT NULL").fetchall()
    db.close()
    return account(acknowledged, [int.from_bytes(s, "little") for (s,) in entries], held), len(held)


def run(folder: Path, kills: int, seed: int, most_ms: float) -> dict[str, int | bool]:
    """Kills so often; returns sums."""
    rng, notes, there = np.random.default_rng(seed), list[str](), 0
    total: Counter[str] = Counter()
    for _ in range(kills):
        before, number = there, int(rng.integers(1 << 32))
        acknowledged = killed(folder, there, number, rng.uniform(0, most_ms) / 1e3)
        told, there = look(folder, acknowledged, notes)
        total.update(dataclasses.asdict(told))
        total["acknowledged"] += acknowledged - before
        total["kills_before_an_answer"] += told.beyond > 0
    known = {block.name for block in folder.glob("*.safetensors")}
    ok = not (total["missing"] or total["doubled"] or total["wrong"] or notes)
    return {"ok": ok, "kills": kills, "there": there, "blocks": len(known),
            "notes_of_damage": len(notes), **total}  # fmt: skip


def main() -> None:
    """Runs it and says what came."""
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-ms", type=float, default=40.0)
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        found = run(Path(name), options.kills, options.seed, options.most_ms)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for key, value in found.items():
            print(f"{key.replace('_', ' ')}: {value}")
        print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(not found["ok"])


if __name__ == "__main__":
    main()
