"""One repetition in a process of its own, which shares nothing with those before it.

usage: python -m tfplus.campaign.worker FOLDER

FOLDER holds `request.json`; the process adds `answer.json`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfplus.campaign import warm_up
from tfplus.campaign.plan import TRAIN
from tfplus.errors import TfplusError, WorkerError
from tfplus.measure.alternation import Limit, timed
from tfplus.measure.result import Block, Scalar
from tfplus.model_file import artifact, random_samples
from tfplus.runtime import interpreter
from tfplus.system import child_process, temporary


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
      path: of the exported file.
      phase: `train` or `infer`.
      threads: of the runtime.
      iterations: warm-up included.
    """

    path: str
    phase: str
    threads: int
    iterations: int


@dataclass(frozen=True)
class Answer:
    """What one process measured.

    Attributes:
      runtime: name and version.
      iteration_ms: all of them, in the order of time.
      values: what else was read, with the unit in the name.
    """

    runtime: str
    iteration_ms: tuple[float, ...]
    values: dict[str, Scalar]

    def blocks(self, number: int, place: int) -> tuple[Block, ...]:
        """The iterations, warm-up labelled."""
        end = warm_up.length(self.iteration_ms)
        parts = ((True, self.iteration_ms[:end]), (False, self.iteration_ms[end:]))
        return tuple(Block(number, place, is_warm, times) for is_warm, times in parts if times)


Measure = Callable[[Request, float], Answer]
"""(request, seconds at most) → what came; raises WorkerError where nothing did."""


def measure(request: Request, timeout_s: float) -> Answer:
    """Runs one repetition in a fresh process.

    Raises:
      WorkerError: it failed, was killed, or took longer than `timeout_s`.
    """
    with temporary.folder("campaign") as folder:
        (folder / "request.json").write_text(json.dumps(dataclasses.asdict(request)))
        try:
            done = child_process.run("tfplus.campaign.worker", str(folder), timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"did not end within {timeout_s:g} s") from None
        answer = folder / "answer.json"
        if done.returncode or not answer.is_file():
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            how = child_process.how_it_ended(done.returncode)
            raise WorkerError(f"the process {how}: {last[0]}")
        told = json.loads(answer.read_text())
    return Answer(told["runtime"], tuple(told["iteration_ms"]), told["values"])


def _serve(folder: Path) -> int:
    request = Request(**json.loads((folder / "request.json").read_text()))
    try:
        answer = _measured(request)
    except (TfplusError, MemoryError, RuntimeError) as error:
        sys.stderr.write(f"{error or type(error).__name__}\n".replace("\n", " ") + "\n")
        return 1
    (folder / "answer.json").write_text(json.dumps(dataclasses.asdict(answer)))
    return 0


def _measured(request: Request) -> Answer:
    load = os.getloadavg()[0]
    begin = time.perf_counter()
    found = artifact.read(Path(request.path))
    runtime = interpreter.find()
    # Where a runtime is known to compute wrongly with XNNPACK, the agent trains without it, too.
    model = runtime.open(
        found.path,
        found.manifest,
        threads=request.threads,
        xnnpack=not runtime.xnnpack_warning,
    )
    samples = random_samples.of(found.manifest, request.phase)
    opened_s = time.perf_counter() - begin
    step = model.step if request.phase == TRAIN else model.infer
    used = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    times = timed(lambda: step(samples))(Limit(request.iterations))
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Answer(
        f"{runtime.name} {runtime.version}",
        tuple(times),
        {
            "open_s": round(opened_s, 4),
            "cpu_cores": round(cpu / wall, 3),
            "peak_rss_bytes": after.ru_maxrss * 1024,
            "load_1min_before": load,
            "xnnpack": not runtime.xnnpack_warning,
        },
    )


if __name__ == "__main__":
    sys.exit(_serve(Path(sys.argv[1])))
