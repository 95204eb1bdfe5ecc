"""What every measured process does: build one step, then time it when told to.

The parent writes `run N S` lines to standard input; each is answered by one JSON line with the
times of N steps in milliseconds, or of fewer: none begins after S seconds. On end of input the
process leaves. What is imported here needs only the standard library and numpy, so that the peak of
resident memory, which stands in the answers, is the measured system's own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from tfplus.measure.alternation import Limit, RunBlock, timed

Step = Callable[[np.ndarray, np.ndarray], object]


def serve(
    step: Step,
    version: str,
    input_shape: tuple[int, ...],
    batch: int,
    classes: int,
    parameters: int,
) -> None:
    """Answers the parent until it closes the pipe; with 0 classes a sample is its own target."""
    out = own_output()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *input_shape), dtype=np.float32)
    y = rng.integers(0, classes, batch, dtype=np.int32) if classes else x
    step(x, y)
    answer(out, timed(lambda: step(x, y)), {"version": version, "parameters": parameters})


def own_output() -> TextIO:
    """Standard output; what anything else prints there goes to standard error from now on."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return out


def answer(out: TextIO, run: RunBlock, about: Mapping[str, Any]) -> None:
    """Tells of a system that is ready, then takes blocks when told to.

    Args:
      out: read by the parent.
      run: takes a block.
      about: `version` and `parameters`.
    """
    out.write(json.dumps(dict(about)) + "\n")
    for line in sys.stdin:
        _, steps, seconds = line.split()
        times_ms = list(run(Limit(int(steps), float(seconds))))
        out.write(json.dumps({"ms": times_ms, "peak_rss_bytes": _peak_rss_bytes()}) + "\n")


def _peak_rss_bytes() -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
