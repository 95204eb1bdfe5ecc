"""What every measured process does: build one step, then time it when told to.

The parent writes `run N S` lines to standard input; each is answered by one JSON line with the
times of N steps in milliseconds, or of fewer: none begins after S seconds. On end of input the
process leaves. Only the standard library and numpy are imported here, so that the peak of resident
memory, which stands in the answers, is the measured system's own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Step = Callable[[np.ndarray, np.ndarray], object]


def serve(
    step: Step,
    version: str,
    input_shape: tuple[int, ...],
    batch: int,
    classes: int,
    parameters: int,
) -> None:
    """Answers the parent until it closes the pipe."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *input_shape), dtype=np.float32)
    y = rng.integers(0, classes, batch, dtype=np.int32)
    step(x, y)
    out.write(json.dumps({"version": version, "parameters": parameters}) + "\n")
    for line in sys.stdin:
        times = []
        _, steps, seconds = line.split()
        until = time.perf_counter() + float(seconds)
        while len(times) < int(steps) and (not times or time.perf_counter() < until):
            start = time.perf_counter()
            step(x, y)
            times.append(1000 * (time.perf_counter() - start))
        out.write(json.dumps({"ms": times, "peak_rss_mb": _peak_rss_mb()}) + "\n")


def _peak_rss_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
