"""Training in a worker of this command's own: an abort of the runtime is an error, not a crash."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfplus.errors import TfplusError
from tfplus.model_file import artifact, weights_file
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.state_ranges import check_ranges
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.runtime import interpreter
from tfplus.system import temporary
from tfplus.tensors.slices import Tensors, check_against
from tfplus_agent.commands.training.local_loop import LocalLoop
from tfplus_agent.commands.training.training_progress import TrainingProgress
from tfplus_agent.worker.client import WorkerClient
from tfplus_agent.worker.messages import WorkerSetup


@dataclass(frozen=True)
class LocalRun:
    """What a training here is to do.

    Attributes:
      setup: what the worker loads.
      spec: of the training, as of a job.
      weights_in: where to go on from; None for the weights in the file.
      weights_out: where what was learned goes, all variables by name.
    """

    setup: WorkerSetup
    spec: pb.JobSpec
    weights_in: Path | None
    weights_out: Path


@dataclass
class LocalReport:
    """What a training here came to; what `--json` prints.

    Attributes:
      weights: the file that holds what was learned; empty where nothing was.
      epochs: metrics of each epoch by name, those of the evaluation data as `val_loss`.
      validations: what was measured in between, where that was asked for, with `step`.
      steps: taken.
      ended: why it ended before its last step; empty where it did not.
      seconds: the whole of it.
      interrupted: whether Ctrl-C ended it.
      accelerator: what it trained on, and why it is not the one that was asked for.
      warnings: where the data are not what the model was made for.
    """

    weights: str = ""
    epochs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    validations: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    steps: int = 0
    ended: str = ""
    seconds: float = 0.0
    interrupted: bool = False
    accelerator: str = ""
    accelerator_note: str = ""
    warnings: tuple[str, ...] = ()


def setup_of(model: Path, data: Path | None, eval_data: Path | None, **options: Any) -> WorkerSetup:
    """What a worker of a command loads.

    Raises:
      MissingExtraError: no runtime is installed.
      RuntimeVersionError: the installed one is known to fail.
    """
    installed = interpreter.find()
    xnnpack = not installed.xnnpack_warning
    options = {"threads": 0, "accelerator": "cpu", **options}
    return WorkerSetup(model, data, eval_data, installed.name, xnnpack=xnnpack, **options)


@contextlib.contextmanager
def worker(setup: WorkerSetup, weights: Path | None) -> Generator[WorkerClient]:
    """A worker with a model, its data and its weights, ended at the end.

    Args:
      setup: what it loads.
      weights: a .safetensors file with some or all variables; None for those in the model's file.

    Raises:
      TfplusError: they cannot be loaded, or do not fit.
    """
    read = artifact.read(setup.model)
    values = None if weights is None else fitting_weights(read, weights)
    with temporary.folder("worker") as folder:
        client = WorkerClient(setup, folder / "worker.log")
        try:
            if values is not None:
                client.restore({**client.save(), **values})
            yield client
        finally:
            client.close()


def fitting_weights(read: Artifact, path: Path) -> Tensors:
    """Reads weights and holds them against a model.

    Raises:
      DataError: the file is missing or damaged.
      TensorError: a tensor is none of the model's.
    """
    values = weights_file.read(path)
    expected = read.manifest.expected()
    check_against(values, {n: e for n, e in expected.items() if n in values})
    check_ranges(values, read.manifest.variables)
    return values


def train(run: LocalRun, progress: TrainingProgress, stop: Callable[[], bool]) -> LocalReport:
    """Trains, and writes what was learned, however it ends.

    Args:
      run: what to do.
      progress: told of it.
      stop: asked every now and then; once true, training stops after the step under way.

    Raises:
      DataError: the data does not fit, or the training diverged.
      UsageError: model or device cannot do what is asked for.
      WorkerError: the worker died. The file holds what was kept before, in all cases, if there is.
    """
    report, started = LocalReport(), time.monotonic()
    with worker(run.setup, run.weights_in) as client:
        report.accelerator, report.accelerator_note = client.accelerator, client.accelerator_note
        report.warnings = client.misfits
        for text in client.misfits:
            progress.note(f"warning: {text}")
        loop = LocalLoop(client, run.spec, artifact.read(run.setup.model).manifest, progress, stop)
        try:
            report.ended = loop.run()
        except TfplusError as error:
            if not loop.state:
                raise
            weights_file.write(run.weights_out, loop.state)
            learned = f"{loop.epochs_kept} epochs" if loop.epochs_kept else f"{loop.kept} steps"
            text = f"{error}; {run.weights_out} has what was learned in {learned}"
            raise type(error)(text) from None
    report.epochs, report.validations = loop.epochs, loop.validations
    report.steps, report.interrupted = loop.taken, stop()
    report.seconds = time.monotonic() - started
    if loop.state:
        weights_file.write(run.weights_out, loop.state)
        report.weights = str(run.weights_out)
    return report
