"""Profiled runs in a process of their own: a wrong call of the C library takes nothing along.

usage: python -m tfplus.profiling.process FOLDER

FOLDER holds `request.json` and `inputs.safetensors`; the process adds `answer.json`.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tfplus.errors import WorkerError
from tfplus.profiling.litert import INVOKE, OPERATOR, RUN, Event, ProfiledModel
from tfplus.system import child_process, temporary
from tfplus.tensors.slices import Tensors

TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
      path: of the model file.
      signature: of it.
      threads: of the runtime.
      xnnpack: whether XNNPACK takes what it can.
      warmup: runs before the first that counts; at least one, since the first fills variables.
      steps: runs that count.
    """

    path: str
    signature: str
    threads: int
    xnnpack: bool
    warmup: int
    steps: int


@dataclass(frozen=True)
class OperatorTime:
    """What one operator took.

    Attributes:
      in_delegate: whether it is one of XNNPACK's.
      index: of the operator in the graph, or of XNNPACK's operator in its partition.
      tag: what the runtime calls it.
      ms: mean over the steps, milliseconds.
    """

    in_delegate: bool
    index: int
    tag: str
    ms: float


@dataclass(frozen=True)
class Recorded:
    """What came of profiled runs.

    Attributes:
      operators: in the order in which they ran.
      step_ms: what each run took as a whole, milliseconds.
    """

    operators: tuple[OperatorTime, ...]
    step_ms: tuple[float, ...]


def record(request: Request, inputs: Tensors, timeout_s: float = TIMEOUT_S) -> Recorded:
    """Runs a signature under LiteRT's profiler.

    Args:
      request: what to run; at least one step.
      inputs: name → array, as the signature says.
      timeout_s: of everything together, in seconds.

    Raises:
      WorkerError: this LiteRT has no profiler, or the run failed.
    """
    with temporary.folder("profile") as folder:
        (folder / "request.json").write_text(json.dumps(dataclasses.asdict(request)))
        save_file({n: np.ascontiguousarray(t) for n, t in inputs.items()}, folder / _INPUTS)
        try:
            done = child_process.run("tfplus.profiling.process", str(folder), timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"the profiled run did not end within {timeout_s:g} s") from None
        answer = folder / "answer.json"
        if done.returncode or not answer.is_file():
            raise WorkerError(_failure(done.returncode, done.stderr))
        found = json.loads(answer.read_text())
    return Recorded(
        tuple(OperatorTime(**o) for o in found["operators"]), tuple(map(float, found["step_ms"]))
    )


_INPUTS = "inputs.safetensors"


def _failure(code: int, said: str) -> str:
    last = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    return f"the process that profiled the model {child_process.how_it_ended(code)}: {last}"


def _serve(folder: Path) -> int:
    request = Request(**json.loads((folder / "request.json").read_text()))
    try:
        model = ProfiledModel(
            Path(request.path),
            request.signature,
            threads=request.threads,
            xnnpack=request.xnnpack,
        )
        model.set_inputs(load_file(folder / _INPUTS))
        for _ in range(request.warmup):
            model.run()
        runs = [model.profile() for _ in range(request.steps)]
        answer = _means(runs)
    except WorkerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    (folder / "answer.json").write_text(json.dumps(dataclasses.asdict(answer)))
    return 0


def _means(runs: list[list[Event]]) -> Recorded:
    steps = [[e for e in run if e.kind != RUN] for run in runs]
    tags = [[(e.kind, e.index, e.tag) for e in step] for step in steps]
    if any(other != tags[0] for other in tags):
        raise WorkerError("two runs of one model had different operators")
    operators = tuple(
        OperatorTime(e.kind != OPERATOR, e.index, e.tag, _mean([s[i].us for s in steps]) / 1e3)
        for i, e in enumerate(steps[0])
    )
    totals = [sum(e.us for e in run if e.kind == RUN and e.tag == INVOKE) / 1e3 for run in runs]
    return Recorded(operators, tuple(totals))


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(_serve(Path(sys.argv[1])))
