"""One repetition in a process of its own.

usage: python -m tfplus_agent.benchmark.process < REQUEST

See `tfplus.benchmark.own_process` for what it reads and writes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfplus.benchmark import own_process
from tfplus.benchmark.repetition import (
    BACKGROUND,
    ENERGY,
    INTERFERENCE,
    LEARNING,
    OPERATIONS,
    TIMING,
    Answer,
    Request,
)
from tfplus.errors import TfplusError
from tfplus_agent.benchmark import energy, gating, interference, learning, operations, timing
from tfplus_agent.benchmark.opened import Opened

# As Android runs what is in the background.
_BACKGROUND_NICE = 10
_PASSES: Mapping[str, Callable[[Opened], Answer]] = {
    TIMING: timing.run,
    ENERGY: energy.run,
    OPERATIONS: operations.run,
    INTERFERENCE: interference.run,
    LEARNING: learning.run,
}


def main() -> int:
    """Does what standard input asks for."""
    # Native libraries write to standard output: it goes where they cannot cut a line in two.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(line: Mapping[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    request = own_process.request_of(json.load(sys.stdin))
    try:
        answer = measured(request, tell)
    except (TfplusError, MemoryError, RuntimeError, OSError) as error:
        # Not on standard error, where a runtime that is taken down has the last word.
        tell({"failed": f"{error or type(error).__name__}".replace("\n", " ")})
        return 1
    told = [(o.operation, o.layer, o.phase, o.ms) for o in answer.operations]
    tell(
        {
            "answer": {
                "runtime": answer.runtime,
                "values": dict(answer.values),
                "absent": dict(answer.absent),
                "operations": told,
                "model_sha256": answer.model_sha256,
            }
        }
    )
    return 0


def measured(
    request: Request,
    told: Callable[[Mapping[str, Any]], None],
    root: Path = Path("/"),
) -> Answer:
    """Waits for the gates and runs the pass.

    Args:
      request: what is asked.
      told: is given the lines of iterations.
      root: the tree that sensors read.

    Raises:
      TfplusError: the model cannot be opened, or the pass failed.
    """
    waited = gating.wait(request, root, time.monotonic, time.sleep)
    told({"gates_open": True})
    if request.priority == BACKGROUND:
        os.nice(_BACKGROUND_NICE)
    before = gating.throttled(root)
    opened = Opened(request, root, lambda times: told({"ms": list(times)}))
    answer = _PASSES[request.kind](opened)
    values = {**waited.values, **answer.values, **gating.throttling_since(before, root)}
    return Answer(
        answer.runtime,
        answer.iteration_ms,
        values,
        {**waited.absent, **answer.absent},
        answer.operations,
        opened.found.sha256,
    )


if __name__ == "__main__":
    sys.exit(main())
