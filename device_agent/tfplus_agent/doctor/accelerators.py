"""Every way to train on this device, tried in a process of its own and compared.

On the CPU the agent's own worker takes the steps, on the GPU the process of the trial: what is
tried is what will run. One that computes wrongly, crashes or hangs is named, and takes nothing
along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tfplus.errors import MissingExtraError, RuntimeVersionError, TfplusError
from tfplus.model_file import artifact
from tfplus.runtime import accelerator_process, interpreter
from tfplus.runtime.accelerator_process import Ran, Step
from tfplus.runtime.accelerators import GPU
from tfplus.runtime.gpu import PRECISIONS, NoAcceleratorError, Precision
from tfplus.system import temporary
from tfplus.training.epoch import EpochPlan
from tfplus_agent.doctor.patient import STEPS, Patient, State
from tfplus_agent.gpu import calibration, vulkan
from tfplus_agent.results import LOSS
from tfplus_agent.worker.client import WorkerClient
from tfplus_agent.worker.messages import WorkerSetup

Status = Literal["right", "wrong", "fails", "absent"]
# The first steps also set things up; the last is timed.
_TIMED = 3


@dataclass(frozen=True)
class Tried:
    """One way to train.

    Attributes:
      name: such as `CPU, XNNPACK` or `GPU, float32`.
      runtime: distribution and version; empty where it is not installed.
      status: `right` if it computes what it should, `wrong`, `fails`, or `absent`.
      says: what it computes wrongly, how it fails, or why it is absent.
      device: name of the processor, where the runtime says it.
      driver: of a GPU, with version, where it can be known.
      is_software: a GPU that is a program on the CPU.
      step_ms: time of one step; None where none was taken.
    """

    name: str
    runtime: str
    status: Status
    says: str = ""
    device: str = ""
    driver: str = ""
    is_software: bool = False
    step_ms: float | None = None


def try_all(patient: Patient, threads: int, progress: Callable[[str], None]) -> list[Tried]:
    """Tries every runtime with and without XNNPACK, and the GPU in every precision.

    Args:
      patient: what is trained.
      threads: of the interpreter; 0 for every core.
      progress: told what is being tried.
    """
    found: list[Tried] = []
    states: list[State] = []
    for name in interpreter.NAMES[1:]:
        try:
            installed = interpreter.find(name)
        except MissingExtraError as error:
            found.append(Tried("CPU", name, "absent", str(error)))
            continue
        except RuntimeVersionError as error:
            found.append(Tried("CPU", name, "fails", str(error)))
            continue
        for xnnpack in (True, False):
            if xnnpack and installed.xnnpack_warning:
                # It may end well for the small model and not for the user's.
                uses = f"{installed.name} {installed.version}"
                found.append(Tried("CPU, XNNPACK", uses, "fails", installed.xnnpack_warning))
                continue
            progress(f"trying {name} {'with' if xnnpack else 'without'} XNNPACK")
            tried, reached = _on_cpu(patient, installed, xnnpack, threads)
            tried = _judged(tried, patient, reached, states)
            found.append(tried)
            if tried.status == "right" and not states:
                states = reached
    ran: list[Ran] = []
    for precision in PRECISIONS:
        progress(f"trying the GPU in {precision}")
        found.append(_on_gpu(patient, states, precision, ran))
    if found[-1].status == "right" and len(ran) == len(PRECISIONS) and _equal(*ran):
        found[-1] = replace(found[-1], says="computes as in float32, to the last bit")
    return found


def _equal(one: Ran, other: Ran) -> bool:
    steps = zip(one.after, other.after, strict=True)
    return all(np.array_equal(a[name], b[name]) for a, b in steps for name in a)


def _on_cpu(
    patient: Patient, installed: interpreter.Runtime, xnnpack: bool, threads: int
) -> tuple[Tried, list[State]]:
    name = "CPU, XNNPACK" if xnnpack else "CPU, no XNNPACK"
    tried = Tried(name, f"{installed.name} {installed.version}", "right")
    with temporary.folder("doctor") as folder:
        samples = folder / "samples.npz"
        np.savez(samples, allow_pickle=False, **patient.samples)
        setup = WorkerSetup(
            patient.read.path, samples, None, installed.name, threads, xnnpack, "cpu"
        )
        states: list[State] = []
        times_ms: list[float] = []
        try:
            worker = WorkerClient(setup, folder / "worker.log")
            try:
                for step in range(_TIMED):
                    plan = EpochPlan(0, step, 0, 1, 1, 1)
                    result = worker.train(plan, lambda event: None, lambda: False)
                    times_ms += result.step_ms.tolist()
                    if step < STEPS:
                        loss = result.sums[LOSS] / max(1, result.read_samples)
                        states.append(State(loss, worker.save()))
            finally:
                worker.close()
        except TfplusError as error:
            return replace(tried, status="fails", says=str(error)), []
    return replace(tried, step_ms=min(times_ms)), states


def _judged(tried: Tried, patient: Patient, reached: list[State], right: list[State]) -> Tried:
    if tried.status != "right":
        return tried
    want = patient.expected or (right[-1] if right else None)
    if want is None:
        return tried
    problem = _difference(patient, want, reached[STEPS - 1])
    return replace(tried, status="wrong", says=problem) if problem else tried


def _on_gpu(
    patient: Patient, right: list[State], precision: Precision, outcomes: list[Ran]
) -> Tried:
    tried = Tried(f"GPU, {precision}", "", "absent")
    try:
        installed = interpreter.find("ai-edge-litert")
    except (MissingExtraError, RuntimeVersionError) as error:
        return replace(tried, says=f"only ai-edge-litert trains on a GPU: {error}")
    tried = replace(tried, runtime=f"{installed.name} {installed.version}")
    if not right:
        return replace(tried, status="fails", says="there is no CPU to compare it with")
    try:
        graph = artifact.accelerated_graph(patient.read, GPU)
        if graph is None:
            return replace(tried, says="the file has no graph for it: export --accelerator gpu")
        before = artifact.initial_values(patient.read)
        states = [before, *(s.variables for s in right)]
        steps = [Step(state, patient.batch_of(i)) for i, state in enumerate(states)]
        metrics = tuple(patient.read.manifest.signatures["train"].outputs)
        ran = accelerator_process.run(graph, steps, metrics, precision=precision)
    except NoAcceleratorError as error:
        return replace(tried, says=f"{error} ({vulkan.devices()[1] or 'Vulkan lists one'})")
    except (TfplusError, OSError) as error:
        return replace(tried, status="fails", says=str(error))
    outcomes.append(ran)
    tried = replace(
        tried,
        device=ran.device,
        driver=_driver(ran.device),
        is_software=ran.is_software,
        step_ms=min(ran.step_s[1:]) * 1e3,
        status="right",
    )
    for state, after in zip(right, ran.after, strict=False):
        got = State(float(after[LOSS][0]), {n: after[n] for n in state.variables})
        problem = _difference(patient, state, got, precision)
        if problem:
            return replace(tried, status="wrong", says=problem)
    return tried


def _difference(
    patient: Patient, want: State, got: State, precision: Precision = "float32"
) -> str | None:
    before = artifact.initial_values(patient.read)
    with_loss = {**got.variables, LOSS: np.array([got.loss])}
    rounding = patient.read.manifest.rounding(GPU)
    return calibration.difference(
        before, want.variables, with_loss, want.loss, precision, rounding=rounding
    )


def _driver(device: str) -> str:
    listed, _ = vulkan.devices()
    drivers = {d.driver for d in listed if d.name == device}
    return drivers.pop() if len(drivers) == 1 else ""
