"""The functional graph of a step for the GPU: does the delegate take it, and compute it right?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfplus.errors import ExportError, WorkerError
from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus.runtime.gpu import CompileError, NoAcceleratorError, NotTakenError
from tfplus.tensors.slices import Tensors
from tfplus_export.conversion import convert
from tfplus_export.conversion.distinct_inputs import distinct
from tfplus_export.lowering.engine.kernel_variants import for_accelerators
from tfplus_export.parity.errors.agreement import Agreement, agreement
from tfplus_export.parity.samples.draw import random_inputs, random_targets
from tfplus_export.parity.warm_moments import warm
from tfplus_export.targets import targets
from tfplus_export.train_step.functional import FunctionalModule
from tfplus_export.train_step.training import Training

State = Tensors

STEPS = 3
_WITHOUT_GPU = (
    "with VK_ICD_FILENAMES=none in the environment this machine's GPU is not asked, and the "
    "operators are held to a table"
)
_GPU = "GPU"
_OTHER_KERNELS = "CPU, without XNNPACK"


@dataclass(frozen=True)
class Accelerated:
    """A checked graph for an accelerator.

    Attributes:
      content: the flatbuffer.
      checked_by: what said that every operator is taken.
      measured: of each that ran it, for the manifest.
      rounding: weights whose gradient is rounding alone, in order.
    """

    content: bytes
    checked_by: str
    measured: list[dict[str, Any]]
    rounding: tuple[str, ...] = ()


def graph(step: Training) -> bytes:
    """Converts the step for accelerators: without variables, lowered to what they take.

    Raises:
      ExportError: it cannot be lowered or converted.
    """
    portable = dataclasses.replace(step, rules=for_accelerators(step.rules))
    converted = convert.to_flatbuffer(FunctionalModule(portable))
    return distinct(converted, targets.gpu_runtime().distinct_inputs)


def gpu(
    step: Training,
    train_graph: bytes,
    values: dict[str, np.ndarray],
    seed: int,
    rounding: frozenset[str] = frozenset(),
) -> Accelerated:
    """Converts the step for the GPU and checks it, on a GPU where one is here.

    Args:
      step: the training step.
      train_graph: the flatbuffer with variables, which is the measure.
      values: name of a variable → its initial value.
      seed: of the data for the comparison.
      rounding: weights whose gradient is rounding alone.

    Raises:
      ExportError: the delegate does not take an operator, or computes it wrongly.
    """
    content = graph(step)
    runtime = targets.gpu_runtime()
    steps, wanted = _steps(train_graph, step, values, np.random.default_rng(seed), rounding)
    results: dict[str, Sequence[State]] = {"CPU": _on_cpu(content, steps)}
    try:
        results[_GPU] = accelerator_process.run(content, steps, step.reported()).after
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
            f"--accelerator gpu: {error}: a smaller --batch-size may fit; {_WITHOUT_GPU}"
        ) from None
    except WorkerError as error:
        raise ExportError(f"--accelerator gpu: {error}; {_WITHOUT_GPU}") from None
    trainable = [w.name for w in step.weights if w.trainable]

    def compared(name: str, found: Sequence[State]) -> Agreement:
        return agreement(name, zip(steps, wanted, found, strict=True), trainable, rounding)

    measured = [compared(name, found) for name, found in results.items()]
    if not all(found.holds() for found in measured):
        # A step may be one that rounding alone leads elsewhere.
        own = compared(_OTHER_KERNELS, _with_other_kernels(train_graph, steps))
        for found in measured:
            if not found.holds(own.limits()):
                raise ExportError(_complaint(found, own))
        measured.append(own)
    return Accelerated(
        content,
        f"{checked_by}, {runtime.name} {runtime.version}",
        [asdict(found) for found in measured],
        tuple(sorted(rounding)),
    )


def _steps(
    train_graph: bytes,
    step: Training,
    values: dict[str, np.ndarray],
    rng: np.random.Generator,
    rounding: frozenset[str],
) -> tuple[list[Step], list[State]]:
    """Steps along the path that the graph with variables takes, and where each leads there."""
    interpreter = Interpreter(model_content=train_graph, num_threads=2)
    train, save, restore = (
        interpreter.get_signature_runner(n) for n in ("train", "save", "restore")
    )
    batches = [
        random_inputs(step.train_graph, rng) | random_targets(step, rng) for _ in range(STEPS)
    ]
    train(**batches[0])
    before: State = warm(values, save(), step.optimizer.second_moments(), rounding)
    restore(**before)
    steps: list[Step] = []
    wanted: list[State] = []
    for batch in batches:
        reported = {n: np.array(v) for n, v in train(**batch).items()}
        after = {n: np.array(v) for n, v in save().items()}
        steps.append(Step(before, batch))
        wanted.append(after | reported)
        before = after
    return steps, wanted


def _with_other_kernels(train_graph: bytes, steps: Sequence[Step]) -> list[State]:
    """Where steps lead with TFLite's own kernels."""
    interpreter = Interpreter(
        model_content=train_graph,
        num_threads=2,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    names = ("restore", "train", "save")
    restore, train, save = (interpreter.get_signature_runner(n) for n in names)
    found: list[State] = []
    for step in steps:
        restore(**step.before)
        reported = train(**step.batch)
        found.append({**save(), **reported})
    return found


def _on_cpu(content: bytes, steps: Sequence[Step]) -> list[State]:
    train = Interpreter(model_content=content, num_threads=2).get_signature_runner("train")
    # What a step leaves as it was it does not return.
    return [{**s.before, **train(**s.batch, **s.before)} for s in steps]


def _complaint(found: Agreement, own: Agreement) -> str:
    limits = own.limits()
    return (
        f"--accelerator gpu: the step without variables computes something else on the {found.on}: "
        f"relative errors loss {found.loss:.1e} (at most {limits['loss']:.0e}), update "
        f"{found.update:.1e} (at most {limits['update']:.0e}) of '{found.worst_variable}'"
        + (f"; {_WITHOUT_GPU}" if found.on == _GPU else "")
    )
