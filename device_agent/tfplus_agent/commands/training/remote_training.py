"""Training on an agent, as a job that is attached to this command."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file import artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.commands.training.local_training import fitting_weights
from tfplus_agent.commands.training.training_progress import TrainingProgress


@dataclass(frozen=True)
class Asked:
    """What an agent is to train; see `tfplus train`."""

    model: Path
    spec: pb.JobSpec
    threads: int
    scaling: Scaling | None
    weights_in: Path | None


@dataclass
class RemoteReport:
    """What the agent says of it; what `--json` prints.

    Attributes:
      agent: its address.
      weights: the file here that got the weights; empty for none.
      resumed_at_step: the step that training went on from.
      steps: taken in this call.
      validations: what was measured in between, with `step`.
      ended: why it ended before its last step; empty where it did not.
      mean_metrics: of the steps, by name, the loss among them.
      seconds: the whole call.
      interrupted: whether Ctrl-C ended it; the agent keeps what it learned.
      accelerator: what it trained on, and why it is not the one that it was to use.
      warnings: where its data are not what the model was made for.
    """

    agent: str
    weights: str = ""
    resumed_at_step: int = 0
    steps: int = 0
    validations: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    ended: str = ""
    mean_metrics: dict[str, float] = field(default_factory=dict[str, float])
    seconds: float = 0.0
    interrupted: bool = False
    accelerator: str = ""
    accelerator_note: str = ""
    warnings: tuple[str, ...] = ()


def train(
    client: AgentClient, asked: Asked, progress: TrainingProgress, stop: Callable[[], bool]
) -> RemoteReport:
    """Uploads, loads and trains a model on an agent.

    Raises:
      RemoteError: it cannot be reached, refused, or failed at it.
    """
    report, started = RemoteReport(client.address), time.monotonic()
    # Before the agent is asked for anything.
    read = artifact.read(asked.model)
    values = None if asked.weights_in is None else fitting_weights(read, asked.weights_in)
    loaded = client.load(client.upload(asked.model), threads=asked.threads, scaling=asked.scaling)
    report.resumed_at_step = loaded.resumed_at_step
    if values is not None:
        client.set_weights(values)
    for text in loaded.warnings:
        progress.note(f"warning: {text}")
    _follow(client, asked.spec, report, progress, stop)
    report.interrupted = stop()
    report.seconds = time.monotonic() - started
    return report


def _follow(
    client: AgentClient,
    spec: pb.JobSpec,
    report: RemoteReport,
    progress: TrainingProgress,
    stop: Callable[[], bool],
) -> None:
    """Shows a job from its beginning to its end, and cancels it where that is asked for."""
    job_id, cancelled = f"train-{secrets.token_hex(6)}", False
    for event in client.run_attached_job(spec, job_id):
        report.steps = int(event.steps_done)
        if event.kind == pb.JobEvent.STEP:
            progress.step(report.steps, event.step.steps_total, event.step.loss)
        elif event.kind == pb.JobEvent.VALIDATED:
            found = event.evaluated
            values = {f"val_{n}": v for n, v in {**found.losses, **found.metrics}.items()}
            report.validations.append({"step": report.steps, **values})
            progress.measured(report.steps, values)
        elif event.kind == pb.JobEvent.RESUMED:
            progress.note(f"goes on after step {report.steps}: {event.reason}")
        elif event.kind == pb.JobEvent.FAILED:
            raise RemoteError(f"{client.address}: the training failed: {event.reason}")
        if event.HasField("trained"):
            report.ended = event.reason
            _summarize(report, event.trained)
        if stop() and not cancelled:
            # It ends after its step, and the last event says what it came to.
            cancelled = True
            client.cancel_job(job_id)


def _summarize(report: RemoteReport, summary: pb.TrainSummary) -> None:
    report.steps = int(summary.steps)
    report.mean_metrics = {"loss": summary.mean_loss, **summary.mean_metrics}
    report.accelerator = summary.accelerator
    report.accelerator_note = summary.accelerator_note
    report.warnings = tuple(summary.warnings)
