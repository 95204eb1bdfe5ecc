"""The trial that decides whether a model may train on the GPU of this device.

A few steps on the GPU, in a process of its own since a delegate may abort or hang, are compared
with the CPU's: in what they compute, and in time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from tfplus.errors import ArtifactError, TensorError, TfplusError, WorkerError
from tfplus.measure.float32_error import allowed
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus.runtime.accelerators import GPU
from tfplus.runtime.gpu import Precision
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.tensors.slices import Tensor, Tensors, weight_of
from tfplus_agent.results import LOSS

# The first step also compiles the GPU's programs; the fastest of the others counts.
_STEPS = 3
# To start, to compile, and to be this much slower than the CPU; more is no use to anybody.
_START_LIMIT_S = 120.0
_TIMES_SLOWER_LIMIT = 300
# Of the loss and of all variables together, relative to the CPU's after one step: far above what
# rounding explains, far below what a wrong kernel makes of it.
_LOSS_TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "float16": 2e-2}
_UPDATE_TOLERANCE: dict[Precision, float] = {"float32": 1e-2, "float16": 0.2}


@dataclass(frozen=True)
class Trial:
    """What came of it.

    Attributes:
      objection: why the model cannot train on the GPU; empty where it can.
      device: name of the GPU; empty where it is not known.
      is_software: the GPU is a program that runs on the CPU.
      step_s: of the GPU, in seconds; 0 where it took none.
      cpu_step_s: of the CPU.
    """

    objection: str = ""
    device: str = ""
    is_software: bool = False
    step_s: float = 0.0
    cpu_step_s: float = 0.0

    @property
    def no_gain(self) -> str:
        """Why a GPU that computes rightly is no gain over the CPU; empty where it is one."""
        if self.is_software:
            return f"{self.device} is itself a program on the CPU; --accelerator gpu takes it"
        if self.objection or self.step_s <= self.cpu_step_s:
            return ""
        return (
            f"a step takes {self.step_s * 1e3:.3g} ms on it and {self.cpu_step_s * 1e3:.3g} ms on "
            "the CPU; --accelerator gpu takes it"
        )


@dataclass(frozen=True)
class Errors:
    """How far one step was off, relative to the CPU's.

    Attributes:
      loss: of the loss.
      update: of all variables together, relative to how far they moved.
    """

    loss: float = 0.0
    update: float = 0.0


NONE = Errors()


def of(
    read: Artifact,
    on_cpu: TrainableModel,
    batch: Tensors,
    precision: Precision = "float32",
    with_other_kernels: Callable[[], TrainableModel] | None = None,
) -> Trial:
    """Tries the GPU with one model.

    Args:
      read: the exported file.
      on_cpu: the same model; its state is put back afterwards.
      batch: as the signature `train` says.
      precision: of the GPU's arithmetic.
      with_other_kernels: opens the same model on the CPU with other kernels: where these lead
        elsewhere, too, the GPU may.
    """
    try:
        graph = artifact.accelerated_graph(read, GPU)
    except ArtifactError as error:
        return Trial(str(error))
    if graph is None:
        return Trial("the file has no graph for it: export the model with --accelerator gpu")
    before = on_cpu.save()
    try:
        on_cpu.step(batch)
        loss, want = on_cpu.metrics()[LOSS], on_cpu.save()
        started = time.perf_counter()
        on_cpu.step(batch)
        cpu_step_s = time.perf_counter() - started
        ran = accelerator_process.run(
            graph,
            [Step(before, batch)] * _STEPS,
            tuple(read.manifest.signatures["train"].outputs),
            _START_LIMIT_S + _STEPS * _TIMES_SLOWER_LIMIT * cpu_step_s,
            precision,
        )
    except (WorkerError, TensorError, OSError) as error:
        # A full disk keeps the trial from its files, not the model from the CPU.
        return Trial(str(error))
    finally:
        on_cpu.restore(before)
    got, rounding = ran.after[0], read.manifest.rounding(GPU)
    problem = difference(before, want, got, loss, precision, rounding=rounding) or ""
    if problem and with_other_kernels is not None:
        try:
            own = _own_errors(with_other_kernels(), before, batch, want, loss, rounding)
        except TfplusError as error:
            return Trial(f"{problem}; other kernels of the CPU do not tell: {error}")
        problem = difference(before, want, got, loss, precision, own, rounding) or ""
    return Trial(problem, ran.device, ran.is_software, min(ran.step_s[1:]), cpu_step_s)


def difference(
    before: Tensors,
    want: Tensors,
    got: Tensors,
    loss: float,
    precision: Precision = "float32",
    own: Errors = NONE,
    rounding: Collection[str] = (),
) -> str | None:
    """What an accelerator computes wrongly in one step; None where it does not.

    Args:
      before: every variable before the step.
      want: every variable after it, on the CPU.
      got: the accelerator's, and its loss, [1].
      loss: the CPU's.
      precision: of the accelerator's arithmetic.
      own: how far other kernels of the CPU are off.
      rounding: weights that are no matter of right and wrong, see `AcceleratedGraph`.
    """
    found = errors(before, want, got, loss, rounding)
    if not found.loss <= allowed(_LOSS_TOLERANCE[precision], own.loss):
        it_has = float(got[LOSS][0])
        return f"it computes wrongly: a loss of {it_has:.6g} where it should be {loss:.6g}"
    if not found.update <= allowed(_UPDATE_TOLERANCE[precision], own.update):
        return f"it computes wrongly: an update that is off by {found.update:.2g}"
    return None


def errors(
    before: Tensors, want: Tensors, got: Tensors, loss: float, rounding: Collection[str] = ()
) -> Errors:
    """How far one step was off; see `difference`."""
    judged = [n for n in want if weight_of(n) not in rounding]
    moved, apart = _norm(judged, want, before), _norm(judged, got, want)
    # What rounding moves goes no farther than the rest, even in opposite directions. NaN does.
    noise = _norm([n for n in want if weight_of(n) in rounding], got, want)
    if not noise <= 2 * _norm(want, want, before):
        apart = noise
    of_loss = abs(float(got[LOSS][0]) - loss) / max(abs(loss), 1e-6)
    return Errors(of_loss, apart / max(moved, 1e-12))


def _own_errors(
    other: TrainableModel,
    before: Tensors,
    batch: Tensors,
    want: Tensors,
    loss: float,
    rounding: Collection[str],
) -> Errors:
    other.restore(before)
    other.step(batch)
    reached = {**other.save(), LOSS: np.array([other.metrics()[LOSS]])}
    return errors(before, want, reached, loss, rounding)


def _norm(names: Iterable[str], one: Tensors, other: Tensors) -> float:
    """How far apart variables are together, in the 2-norm."""
    return math.sqrt(sum(_squares(one[n], other[n]) for n in names))


def _squares(a: Tensor, b: Tensor) -> float:
    return float(np.sum(np.square(a.astype(np.float64) - b.astype(np.float64))))
