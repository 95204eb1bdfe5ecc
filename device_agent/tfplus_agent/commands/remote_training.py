"""Training on an agent by its Train call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfplus.data.scaling import Scaling
from tfplus.fleet.client import AgentClient
from tfplus.model_file import artifact
from tfplus_agent.commands.local_training import fitting_weights
from tfplus_agent.commands.training_progress import TrainingProgress


@dataclass(frozen=True)
class Asked:
    """What an agent is to train; see `tfplus train`."""

    model: Path
    epochs: int
    seed: int
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
      RemoteError: it cannot be reached, or refused.
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
    events: Any = client.train(asked.epochs, seed=asked.seed)
    try:
        for event in events:
            if event.HasField("summary"):
                _summarize(report, event.summary)
            else:
                report.steps = int(event.step.step)
                progress.step(report.steps, event.step.steps_total, event.step.loss)
                if stop():
                    break
    finally:
        events.close()
    report.interrupted = stop()
    report.seconds = time.monotonic() - started
    return report


def _summarize(report: RemoteReport, summary: Any) -> None:
    report.steps = int(summary.steps)
    report.mean_metrics = {"loss": summary.mean_loss, **summary.mean_metrics}
    report.accelerator = summary.accelerator
    report.accelerator_note = summary.accelerator_note
    report.warnings = tuple(summary.warnings)
