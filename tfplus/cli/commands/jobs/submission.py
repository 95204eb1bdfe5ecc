"""The commands that submit jobs: `tfplus jobs train|evaluate|predict|benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.commands.jobs.running import (
    Agent,
    AsJson,
    Attached,
    OwnId,
    Priority,
    Wait,
    client_of,
    submit,
)
from tfplus.cli.training_options import (
    LearningRate,
    MaxEnergy,
    MaxTime,
    MinDelta,
    Monitor,
    Patience,
    RestoreBest,
    ScheduleText,
    ValidateEpochs,
    ValidateSteps,
    spec_of,
    within,
)
from tfplus.errors import UsageError


def train(
    agent: Agent,
    epochs: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Passes over the data.")] = 0,
    steps: Annotated[
        int, typer.Option(min=0, max=2**53, help="Stop after so many steps; alone: so many.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Shuffles the samples.")] = 0,
    learning_rate: LearningRate = None,
    schedule: ScheduleText = "",
    validate_epochs: ValidateEpochs = 0,
    validate_steps: ValidateSteps = 0,
    patience: Patience = None,
    monitor: Monitor = "loss",
    min_delta: MinDelta = 0.0,
    restore_best: RestoreBest = False,
    max_time: MaxTime = None,
    max_energy: MaxEnergy = None,
    slice_norms: Annotated[
        bool, typer.Option("--slice-norms", help="Report how far each slice of the weights moved.")
    ] = False,
    checkpoint_every: Annotated[
        int,
        typer.Option(min=1, max=2**53, help="Steps that a crash may cost; each is written whole."),
    ] = 100,
    restarts: Annotated[
        int, typer.Option(min=0, max=1000, help="How often it goes on after its worker died.")
    ] = 3,
    priority: Priority = 0,
    model: Annotated[
        Path | None,
        typer.Option(help="Send and load this exported file first; else what is loaded trains."),
    ] = None,
    job_id: OwnId = "",
    wait: Wait = False,
    attached: Attached = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Queues a training on the agent's own data, and returns.

    The agent goes on with it whoever leaves, and takes it up by itself after a crash: it ends with
    the same weights as one that nothing disturbed.

    \b
    Examples:
      tfplus jobs train 127.0.0.1:50051 --epochs 5
      tfplus jobs train 127.0.0.1:50051 --epochs 100 --schedule cosine:to=0.01,warmup=200 \\
          --validate-epochs 1 --patience 5 --restore-best --max-time 2h
      tfplus jobs train pi-1.local:50051 --model m.tflite --steps 2000 --seed 7 \\
          --tls-dir certs/desk --wait
    """
    if not epochs and not steps:
        raise UsageError("train: give --epochs or --steps")
    spec = spec_of(
        epochs=epochs,
        steps=steps,
        seed=seed,
        learning_rate=learning_rate,
        schedule=schedule,
        validate_epochs=validate_epochs,
        validate_steps=validate_steps,
        patience=patience,
        monitor=monitor,
        min_delta=min_delta,
        restore_best=restore_best,
        max_time=max_time,
        max_energy=max_energy,
    )
    spec.train.checkpoint_every = checkpoint_every
    spec.train.max_restarts = restarts
    spec.train.slice_norms = slice_norms
    spec.priority = priority
    with client_of(agent, tls_dir, insecure=insecure) as client:
        if model is not None:
            sha256 = client.upload(model)
            if client.status().model_sha256 != sha256:
                client.load(sha256)
        submit(client, spec, job_id, wait=wait, attached=attached, as_json=as_json)


def evaluate(
    agent: Agent,
    priority: Priority = 0,
    job_id: OwnId = "",
    wait: Wait = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Queues a measurement of the loaded model on the agent's evaluation data.

    \b
    Examples:
      tfplus jobs evaluate 127.0.0.1:50051 --wait
    """
    from tfplus.proto.v1 import agent_pb2 as pb

    spec = pb.JobSpec(evaluate=pb.EvaluateJob(), priority=priority)
    with client_of(agent, tls_dir, insecure=insecure) as client:
        submit(client, spec, job_id, wait=wait, attached=False, as_json=as_json)


def predict(
    agent: Agent,
    training_data: Annotated[
        bool, typer.Option("--training-data", help="On it, and not on the evaluation data.")
    ] = False,
    priority: Priority = 0,
    job_id: OwnId = "",
    wait: Wait = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Queues the loaded model's outputs for the agent's samples; `tfplus jobs result` fetches them.

    \b
    Examples:
      tfplus jobs predict 127.0.0.1:50051 --id outputs --wait
      tfplus jobs result 127.0.0.1:50051 outputs -o outputs.npz
    """
    from tfplus.proto.v1 import agent_pb2 as pb

    asked = pb.PredictJob(training_data=training_data)
    spec = pb.JobSpec(predict=asked, priority=priority)
    with client_of(agent, tls_dir, insecure=insecure) as client:
        submit(client, spec, job_id, wait=wait, attached=False, as_json=as_json)


def benchmark(
    agent: Agent,
    steps: Annotated[
        int, typer.Option(min=1, max=100_000, help="Of training, and of inference.")
    ] = 50,
    max_time: MaxTime = None,
    priority: Priority = 0,
    job_id: OwnId = "",
    wait: Wait = False,
    attached: Attached = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Queues a measurement of how long the loaded model's steps take; it changes nothing.

    \b
    Examples:
      tfplus jobs benchmark 127.0.0.1:50051 --wait
      tfplus jobs benchmark pi-1.local:50051 --steps 200 --tls-dir certs/desk --wait --json
    """
    from tfplus.proto.v1 import agent_pb2 as pb

    asked = pb.BenchmarkJob(steps=steps)
    spec = within(pb.JobSpec(benchmark=asked, priority=priority), max_time, None)
    with client_of(agent, tls_dir, insecure=insecure) as client:
        submit(client, spec, job_id, wait=wait, attached=attached, as_json=as_json)
