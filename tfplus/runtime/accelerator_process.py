"""Steps on an accelerator in a process of their own: a delegate may abort, and takes nothing along.

usage: python -m tfplus.runtime.accelerator_process FOLDER PRECISION

FOLDER holds `graph.tflite`, and `before-I.safetensors` and `batch-I.safetensors` for each step I;
the process adds `after-I.safetensors`: the variables and, under their names, the metrics; and
`seconds.json`: what each step took.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tfplus.errors import WorkerError
from tfplus.model_file.manifest import TensorInfo
from tfplus.runtime import gpu
from tfplus.runtime.functional import StatelessModel
from tfplus.runtime.gpu import CompileError, NoAcceleratorError, NotTakenError, Precision
from tfplus.system import child_process, temporary
from tfplus.tensors.slices import Tensor, Tensors

TIMEOUT_S = 900.0
_NO_GPU = 3
_NOT_TAKEN = 4
_FAILED = 5
_BROKE_OFF = 6
_FAILURE = "failure.txt"
_CHATTER = ("INFO:", "WARNING:", "I0000", "W0000", "└")
# What Dawn says of the device that it took.
_ADAPTER = re.compile(r"Selected adapter: (?P<device>.*?), arch=.*adapterType=(?P<kind>.*)")
_SOFTWARE = "CPU"
_UNSUPPORTED = "Following operations are not supported by GPU delegate:"
_OPERATOR = re.compile(r"^[A-Z][A-Z0-9_]*: .*", re.MULTILINE)
# An error as LiteRT and Dawn log it, and what they call a lack of memory.
_LOGGED = re.compile(r"^E\d{4} \S+\s+\d+ \S+\] (.*)", re.MULTILINE)
_NO_ROOM = re.compile(r"(?:RESOURCE_EXHAUSTED|Out of memory): (.*)")


@dataclass(frozen=True)
class Step:
    """One step to take.

    Attributes:
      before: every variable.
      batch: every other input of `train`.
    """

    before: Tensors
    batch: Tensors


@dataclass(frozen=True)
class Ran:
    """What came of steps on an accelerator.

    Attributes:
      after: for each step, name → array of the variables after it, and of the metrics.
      step_s: what each step took, until its metrics were read, in seconds.
      device: its name, or empty where the runtime does not say.
      is_software: it is a program that runs on the CPU.
    """

    after: list[dict[str, Tensor]]
    step_s: list[float]
    device: str
    is_software: bool


def run(
    graph: bytes,
    steps: Sequence[Step],
    metrics: tuple[str, ...],
    timeout_s: float = TIMEOUT_S,
    precision: Precision = "float32",
) -> Ran:
    """Takes steps on the GPU, each from a state of its own.

    Args:
      graph: a stateless graph, see `tfplus.runtime.functional`.
      steps: at least one.
      metrics: names of what a step reports.
      timeout_s: of all steps together, in seconds.
      precision: of the GPU's arithmetic, see `gpu.compiled`.

    Raises:
      NoAcceleratorError: there is no GPU, or no driver.
      NotTakenError: the delegate leaves operators to the CPU; the message names those.
      CompileError: the GPU has no room for the graph, or another reason not to compile it.
      WorkerError: it failed in another way; the message says how.
    """
    with temporary.folder("gpu") as folder:
        (folder / "graph.tflite").write_bytes(graph)
        (folder / "metrics.json").write_text(json.dumps(metrics))
        for i, step in enumerate(steps):
            save_file(_contiguous(step.before), folder / f"before-{i}.safetensors")
            save_file(_contiguous(step.batch), folder / f"batch-{i}.safetensors")
        try:
            done = child_process.run(
                "tfplus.runtime.accelerator_process", str(folder), precision, timeout_s=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise WorkerError(
                f"the GPU did not end {len(steps)} steps in {timeout_s:g} s"
            ) from None
        if done.returncode:
            if done.returncode == _BROKE_OFF:
                raise WorkerError(f"the GPU failed in a step: {(folder / _FAILURE).read_text()}")
            raise _error(done.returncode, done.stderr)
        after = [load_file(folder / f"after-{i}.safetensors") for i in range(len(steps))]
        device, is_software = _adapter(done.stderr)
        return Ran(after, json.loads((folder / "seconds.json").read_text()), device, is_software)


def _adapter(said: str) -> tuple[str, bool]:
    found = _ADAPTER.search(said)
    if found is None:
        return "", False
    return found["device"], found["kind"].startswith(_SOFTWARE)


def _error(code: int, said: str) -> WorkerError:
    if code == _NO_GPU:
        return NoAcceleratorError("LiteRT finds no GPU, or no driver for it, on this machine")
    if code == _NOT_TAKEN:
        # Each operator with its reason, up to the line that counts them.
        named = said.partition(_UNSUPPORTED)[2].partition(" operations will run")[0]
        lines = [m[0] for m in _OPERATOR.finditer(named)]
        operators = [line.partition(":")[0] for line in lines]
        return NotTakenError("; ".join(lines[:5]) or "it does not say which", operators)
    # Without memory, a driver may end the process behind its own message.
    if code == _FAILED or (code < 0 and _NO_ROOM.search(said)):
        return _compile_error(said)
    telling = [line for line in said.splitlines() if line and not line.startswith(_CHATTER)]
    last = "".join(filter(str.isprintable, telling[-1])) if telling else "it said nothing"
    how = child_process.how_it_ended(code)
    return WorkerError(f"the process that ran the step on the GPU {how}: {last}")


def _compile_error(said: str) -> CompileError:
    room = _NO_ROOM.search(said)
    if room is not None:
        return CompileError(f"the GPU has no room for the step: {room[1]}")
    logged = _LOGGED.search(said)
    reason = logged[1] if logged else "LiteRT does not say why, the step may be too large for it"
    return CompileError(f"the GPU failed to compile the step: {reason}")


def _contiguous(tensors: Tensors) -> dict[str, Tensor]:
    return {n: np.ascontiguousarray(t) for n, t in tensors.items()}


def _serve(folder: Path, precision: Precision) -> int:
    try:
        compiled = gpu.compiled((folder / "graph.tflite").read_bytes(), precision)
    except NotTakenError:
        return _NOT_TAKEN
    except NoAcceleratorError:
        return _NO_GPU
    except CompileError:
        return _FAILED
    try:
        _take_steps(compiled, folder)
    except RuntimeError as error:
        (folder / _FAILURE).write_text(" ".join(str(error).split()))
        return _BROKE_OFF
    return 0


def _take_steps(compiled: Any, folder: Path) -> None:
    metrics = tuple(json.loads((folder / "metrics.json").read_text()))
    model: StatelessModel | None = None
    step_s: list[float] = []
    for i in range(len(list(folder.glob("before-*.safetensors")))):
        before = load_file(folder / f"before-{i}.safetensors")
        if model is None:
            variables = {n: TensorInfo(t.shape, t.dtype.name) for n, t in before.items()}
            model = StatelessModel(compiled, variables, metrics)
        model.restore(before)
        batch = load_file(folder / f"batch-{i}.safetensors")
        started = time.perf_counter()
        model.step(batch)
        reported = {n: np.array([v], np.float32) for n, v in model.metrics().items()}
        step_s.append(time.perf_counter() - started)
        save_file(_contiguous(model.save() | reported), folder / f"after-{i}.safetensors")
    (folder / "seconds.json").write_text(json.dumps(step_s))


if __name__ == "__main__":
    # Everything is written; some drivers hang when they are taken down.
    os._exit(_serve(Path(sys.argv[1]), gpu.precision_named(sys.argv[2])))
