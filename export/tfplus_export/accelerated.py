"""The stateless graph of a step for the GPU: does the delegate take it, and compute it right?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfplus import accelerator_process
from tfplus.accelerator_process import Step
from tfplus.errors import ExportError, WorkerError
from tfplus.gpu import CompileError, NoAcceleratorError, NotTakenError
from tfplus.slices import Tensors
from tfplus_export import convert, targets
from tfplus_export.comparison.samples import random_inputs, random_targets
from tfplus_export.comparison.update_error import lower_median, update_error
from tfplus_export.lowering.candidates import for_accelerators
from tfplus_export.stateless import StatelessModule
from tfplus_export.training import LOSS, Training

State = Tensors

STEPS = 3
TOLERANCE = {"loss": 1e-4, "update": 1e-3}


@dataclass(frozen=True)
class Agreement:
    """How far the stateless graph was off the step on the CPU, as relative errors.

    Attributes:
      on: what ran it.
      steps: that were compared, each from the CPU's state.
      loss: largest error of a loss.
      update: error of a variable's update, the lower median over the steps, for the worst variable.
      worst_variable: the variable of that error.
    """

    on: str
    steps: int
    loss: float
    update: float
    worst_variable: str

    @property
    def holds(self) -> bool:
        """Whether both errors are within their tolerance; NaN is not."""
        return self.loss <= TOLERANCE["loss"] and self.update <= TOLERANCE["update"]


@dataclass(frozen=True)
class Accelerated:
    """A checked graph for an accelerator.

    Attributes:
      content: the flatbuffer.
      checked_by: what said that every operator is taken.
      measured: of each that ran it, for the manifest.
    """

    content: bytes
    checked_by: str
    measured: list[dict[str, Any]]


def graph(step: Training) -> bytes:
    """Converts the step for accelerators: without variables, lowered to what they take.

    Raises:
      ExportError: it cannot be lowered or converted.
    """
    portable = dataclasses.replace(step, rules=for_accelerators(step.rules))
    return convert.to_flatbuffer(StatelessModule(portable))


def gpu(step: Training, stateful: bytes, values: dict[str, np.ndarray], seed: int) -> Accelerated:
    """Converts the step for the GPU and checks it, on a GPU where one is here.

    Args:
      step: the training step.
      stateful: the flatbuffer with variables, which is the measure.
      values: name of a variable → its initial value.
      seed: of the data for the comparison.

    Raises:
      ExportError: the delegate does not take an operator, or computes it wrongly.
    """
    content = graph(step)
    runtime = targets.gpu_runtime()
    steps, wanted = _steps(stateful, step, values, np.random.default_rng(seed))
    results: dict[str, Sequence[State]] = {"CPU": _on_cpu(content, steps)}
    try:
        results["GPU"] = accelerator_process.run(content, steps, step.reported()).after
        checked_by = "its delegate"
    except NoAcceleratorError:
        problem = targets.operator_problem(content, runtime)
        if problem is not None:
            raise ExportError(f"--accelerator gpu: {problem}") from None
        checked_by = "a table of its operators"
    except NotTakenError as error:
        layers = targets.layers_with(content, error.operators)
        raise ExportError(
            f"--accelerator gpu: the delegate does not take the step: {error}"
            + (f"; such operators are of the layers {', '.join(layers[:5])}" if layers else "")
        ) from None
    except CompileError as error:
        raise ExportError(
            f"--accelerator gpu: {error}: a smaller --batch-size may fit; without a GPU on this "
            "machine, the operators are held to a table instead"
        ) from None
    except WorkerError as error:
        raise ExportError(f"--accelerator gpu: {error}") from None
    measured = [_agreement(name, steps, wanted, got) for name, got in results.items()]
    for agreement in measured:
        if not agreement.holds:
            raise ExportError(
                f"--accelerator gpu: the step without variables computes something else on the "
                f"{agreement.on}: relative errors loss {agreement.loss:.1e} (at most "
                f"{TOLERANCE['loss']:.0e}), update {agreement.update:.1e} (at most "
                f"{TOLERANCE['update']:.0e}) of '{agreement.worst_variable}'"
            )
    return Accelerated(
        content,
        f"{checked_by}, {runtime.name} {runtime.version}",
        [asdict(agreement) for agreement in measured],
    )


def _steps(
    stateful: bytes, step: Training, values: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[list[Step], list[State]]:
    """Steps along the path that the graph with variables takes, and where each leads there."""
    interpreter = Interpreter(model_content=stateful, num_threads=2)
    train, save = (interpreter.get_signature_runner(n) for n in ("train", "save"))
    before = dict(values)
    steps: list[Step] = []
    wanted: list[State] = []
    for _ in range(STEPS):
        batch = random_inputs(step.train_graph, rng) | random_targets(step, rng)
        reported = {n: np.array(v) for n, v in train(**batch).items()}
        after = {n: np.array(v) for n, v in save().items()}
        steps.append(Step(before, batch))
        wanted.append(after | reported)
        before = after
    return steps, wanted


def _on_cpu(content: bytes, steps: Sequence[Step]) -> list[State]:
    train = Interpreter(model_content=content, num_threads=2).get_signature_runner("train")
    # What a step leaves as it was it does not return.
    return [{**s.before, **train(**s.batch, **s.before)} for s in steps]


def _agreement(
    name: str, steps: list[Step], wanted: Sequence[State], found: Sequence[State]
) -> Agreement:
    losses: list[float] = []
    updates: dict[str, list[float]] = {}
    for step, want, got in zip(steps, wanted, found, strict=True):
        loss = float(want[LOSS][0])
        losses.append(abs(float(got[LOSS][0]) - loss) / max(abs(loss), 1e-6))
        for variable, before in step.before.items():
            error = update_error(before, want[variable], got[variable])
            updates.setdefault(variable, []).append(error)
    medians = {v: lower_median(e) for v, e in updates.items()}
    worst = max(medians, key=lambda v: np.nan_to_num(medians[v], nan=np.inf))
    return Agreement(name, len(steps), float(np.max(losses)), medians[worst], worst)
