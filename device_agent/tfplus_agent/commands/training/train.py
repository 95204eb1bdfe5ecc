"""The command `tfplus train`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.entry import INTERRUPT_EXIT_CODE
from tfplus.cli.output import print_json
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
)
from tfplus.data import scaling
from tfplus.errors import RemoteError, UsageError
from tfplus_agent.commands import remote
from tfplus_agent.commands.training.interrupts import Interrupts


def train(
    model: Annotated[Path, typer.Argument(help="A .tflite file written by `tfplus export`.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Training data: an .npz with x and y, or a directory with x.npy, y.npy."),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=0, max=100_000, help="Passes over the data; 1, without --steps.")
    ] = 0,
    steps: Annotated[
        int, typer.Option(min=0, max=2**53, help="Stop after so many steps; alone: so many.")
    ] = 0,
    eval_data: Annotated[
        Path | None,
        typer.Option(
            help="Measured on after each epoch, or as --validate-epochs and -steps say; of the "
            "same form."
        ),
    ] = None,
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
    weights_in: Annotated[
        Path | None, typer.Option(help="Go on from these weights, a .safetensors.")
    ] = None,
    weights_out: Annotated[
        Path | None,
        typer.Option(
            help="Where what was learned goes, with the optimizer's state; by default MODEL's name "
            "with .safetensors, and with --agent nowhere but there."
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Of the interpreter; 0 for one on each fast core.")
    ] = 0,
    accelerator: Annotated[
        str, typer.Option(help="auto, cpu or gpu; see `tfplus agent`.")
    ] = "auto",
    scale: Annotated[
        str | None, typer.Option(metavar="FACTOR", help="Of the data, see `tfplus agent`.")
    ] = None,
    offset: Annotated[
        str | None, typer.Option(metavar="OFFSET", help="See --scale; 0 if not given.")
    ] = None,
    feature_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where what frozen layers make of samples is kept from run to run, for a model "
            "that was exported with --split or --cached.",
        ),
    ] = None,
    annotated: Annotated[
        bool,
        typer.Option(
            "--annotated",
            help="Train on what is kept there with a user's label (`tfplus features annotate`); "
            "no sample is needed.",
        ),
    ] = False,
    agent: remote.AgentAddress = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Train a model right here, or on an agent.

    Here it needs no daemon: the runtime is in a process of its own, and what was learned is written
    at the end. On an agent the data are the agent's, and so are the weights; it goes on from its
    last checkpoint of the model, as a job of the agent's (`tfplus jobs`). Ctrl-C ends the training
    after the step under way and keeps what was learned; a second one ends the command at once.

    Exit code 130 says that Ctrl-C ended it, 7 that the runtime did.

    \b
    Examples:
      tfplus train lenet.tflite --data digits.npz --epochs 5
      tfplus train lenet.tflite --data digits.npz --eval-data held_out.npz --epochs 5 \\
          --weights-out first.safetensors
      tfplus train lenet.tflite --data more.npz --weights-in first.safetensors \\
          --weights-out second.safetensors --json | jq .epochs
      tfplus train lenet.tflite --data digits.npz --eval-data held_out.npz --epochs 100 \\
          --schedule cosine:to=0.01,warmup=200 --patience 5 --validate-epochs 1 --restore-best \\
          --max-time 2h
      tfplus train lenet.tflite --agent pi-1.local:50051 --tls-dir certs/desk --epochs 5
    """
    from tfplus_agent.commands.training.training_progress import TrainingProgress

    spec = spec_of(
        epochs=epochs or int(not steps),
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
    scaled = scaling.parse(scale, offset)
    with Interrupts() as interrupts, TrainingProgress() as progress:
        if agent is not None:
            remote.refuse(agent, data=data, eval_data=eval_data, feature_cache=feature_cache)
            if annotated:
                raise UsageError("--annotated: expected no --agent: its cache is the agent's")
            from tfplus_agent.commands.training import remote_training

            with remote.connect(agent, tls_dir, insecure=insecure) as client:
                asked = remote_training.Asked(model, spec, threads, scaled, weights_in)
                report: Any = remote_training.train(client, asked, progress, interrupts.stop)
                if weights_out is not None:
                    _fetch(client, weights_out)
                    report.weights = str(weights_out)
        else:
            remote.refuse(agent, tls_dir=tls_dir, insecure=insecure)
            if (data is None) != annotated or (annotated and feature_cache is None):
                raise UsageError(
                    "no data: expected --data FILE, or --agent HOST:PORT, or --annotated with "
                    "--feature-cache FOLDER"
                )
            from tfplus.features.costs import TRAINING
            from tfplus.runtime import accelerators
            from tfplus_agent.commands.training import local_loop, local_training
            from tfplus_agent.features.metering import metered

            local_loop.check_evaluation_data(spec, has_any=eval_data is not None)
            accelerators.check_name(accelerator)
            target = _target(model, weights_in, weights_out)
            options: dict[str, Any] = {"threads": threads, "accelerator": accelerator}
            options |= {"scaling": scaled, "features": feature_cache}
            options["annotated"] = annotated
            setup = local_training.setup_of(model, data, eval_data, **options)
            run = local_training.LocalRun(setup, spec, weights_in, target)
            with metered(feature_cache, TRAINING):
                report = local_training.train(run, progress, interrupts.stop)
        if report.ended:
            progress.note(report.ended)
        if report.weights:
            progress.note(f"wrote {report.weights}")
    if as_json:
        print_json(dataclasses.asdict(report))
    if report.interrupted:
        raise typer.Exit(INTERRUPT_EXIT_CODE)


def _target(model: Path, weights_in: Path | None, weights_out: Path | None) -> Path:
    target = weights_out or model.with_suffix(".safetensors")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such directory for the weights")
    if weights_out is None and target.exists():
        raise UsageError(
            f"{target} exists: go on from it with --weights-in {target} --weights-out {target}, or "
            "give another --weights-out"
        )
    if target.exists() and target.samefile(model):
        raise UsageError(f"{target}: is the model; expected another file for the weights")
    return target


def _fetch(client: Any, path: Path) -> None:
    from tfplus.model_file import weights_file

    try:
        weights_file.write(path, client.weights(include_optimizer=True))
    except RemoteError as error:
        raise RemoteError(
            f"{error}; the agent keeps what it learned: fetch it with `tfplus weights get --agent "
            f"{client.address} -o {path}`"
        ) from None
