"""Times what an app waits for in a feature cache while a trainer, another process, writes to it.

usage: cache_waits.py [--calls 300] [--dim 1280] [--folder FOLDER]

The trainer keeps adding blocks of features and reads them back. The app meanwhile looks up a
sample, and annotates one; its label is synced to disk before the call returns. Both are printed
as median, 99th percentile and maximum, alone and beside the trainer. What a sync takes is the
disk's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tfplus.features.cache import FeatureCache


def opened(folder: Path, dim: int) -> FeatureCache:
    """The cache of one model."""
    return FeatureCache(folder, "maker", "layer", (dim,), hyper="h")


def key(number: int) -> bytes:
    """Of a sample."""
    return number.to_bytes(16, "little")


def write_for_ever(folder: Path, dim: int) -> None:
    """The trainer: blocks of some megabytes, one after the other, each read back."""
    cache, number = opened(folder, dim), 1 << 40
    rows = np.ones((256, dim), np.float32)
    while True:
        keys = [key(number + i) for i in range(len(rows))]
        cache.add(keys, rows)
        cache.flush()
        cache.find(keys)
        number += len(rows)


def times_ms(folder: Path, dim: int, calls: int) -> dict[str, np.ndarray]:
    """What each call of the app took."""
    cache = opened(folder, dim)
    cache.add([key(i) for i in range(calls)], np.ones((calls, dim), np.float32))
    cache.flush()
    found: dict[str, list[float]] = {"look up": [], "annotate": []}
    for number in range(calls):
        started = time.perf_counter()
        cache.find([key(number)])
        seen = time.perf_counter()
        cache.annotate([key(number)], [number % 10])
        found["look up"].append(1e3 * (seen - started))
        found["annotate"].append(1e3 * (time.perf_counter() - seen))
    cache.close()
    return {name: np.asarray(values) for name, values in found.items()}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument("--folder", type=Path, help="on the disk that is meant")
    parser.add_argument("--trainer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trainer:
        write_for_ever(options.trainer, options.dim)
    print("| call | trainer | median, ms | 99 %, ms | longest, ms |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for beside in (False, True):
            folder = Path(name) / str(beside)
            folder.mkdir()
            command = [sys.executable, __file__, "--trainer", str(folder), "--dim"]
            trainer = subprocess.Popen([*command, str(options.dim)]) if beside else None
            try:
                while trainer is not None and not list(folder.glob("*.safetensors")):
                    if trainer.poll() is not None:
                        raise SystemExit("the trainer beside it ended before it wrote anything")
                    time.sleep(0.01)
                found = times_ms(folder, options.dim, options.calls)
            finally:
                if trainer is not None:
                    trainer.kill()
                    trainer.wait()
            for call, taken in found.items():
                median, late = np.percentile(taken, (50, 99))
                text = f"{median:.2f} | {late:.2f} | {taken.max():.2f}"
                print(f"| {call} | {'writes' if beside else 'none'} | {text} |")


if __name__ == "__main__":
    main()
