"""The commands `tfplus evaluate` and `tfplus predict`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.data import scaling
from tfplus.errors import UsageError
from tfplus.system.files import absolute
from tfplus_agent.commands import remote

Weights = Annotated[
    Path | None,
    typer.Option(help="Weights by name, a .safetensors; those in MODEL if not given."),
]
Scale = Annotated[
    str | None, typer.Option(metavar="FACTOR", help="Of the data, see `tfplus agent`.")
]
Offset = Annotated[str | None, typer.Option(metavar="OFFSET", help="See --scale; 0 if not given.")]


def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(help="A .tflite file; with --agent what it has loaded, if not given."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Samples with targets, as `tfplus train` takes them.")
    ] = None,
    weights: Weights = None,
    scale: Scale = None,
    offset: Offset = None,
    agent: remote.AgentAddress = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Measure loss and metrics on samples, here or on an agent's evaluation data.

    An agent that trains does it between two steps.

    \b
    Examples:
      tfplus evaluate lenet.tflite --data held_out.npz --weights lenet.safetensors
      tfplus evaluate lenet.tflite --data held_out.npz --json | jq .metrics
      tfplus evaluate --agent pi-1.local:50051 --tls-dir certs/desk
    """
    scaled = scaling.parse(scale, offset)
    if agent is not None:
        remote.refuse(agent, data=data, weights=weights)
        with remote.connect(agent, tls_dir, insecure=insecure) as client:
            if model is not None:
                client.load(client.upload(model), scaling=scaled)
            answer = client.evaluate()
            samples, known = int(answer.samples), int(answer.known_samples)
            metrics = {**answer.losses, **answer.metrics}
            of = f", after step {answer.trained_steps:,}"
    else:
        remote.refuse(agent, tls_dir=tls_dir, insecure=insecure)
        if model is None or data is None:
            raise UsageError("expected MODEL and --data FILE, or --agent HOST:PORT")
        from tfplus_agent.commands.training import local_training

        setup = local_training.setup_of(model, None, data, scaling=scaled)
        with local_training.worker(setup, weights) as worker:
            found = worker.evaluate()
            for text in worker.misfits:
                stderr_console().print(f"warning: {text}", markup=False, soft_wrap=True)
        samples, known = found.samples, found.known_samples
        metrics, of = {**found.losses, **found.means}, ""
    if as_json:
        print_json({"samples": samples, "known_samples": known, "metrics": metrics})
        return
    values = " - ".join(f"{name}: {value:.4f}" for name, value in metrics.items())
    unknown = f", {samples - known} of classes that the model lacks" if known < samples else ""
    stdout_console().print(f"{values} ({samples} samples{unknown}{of})", markup=False)


def predict(
    model: Annotated[Path, typer.Argument(help="A .tflite file written by `tfplus export`.")],
    data: Annotated[
        Path, typer.Option(help="Samples: an .npz with x, or a directory with x.npy; no targets.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The .npz to write, an array an output.")
    ] = None,
    weights: Weights = None,
    scale: Scale = None,
    offset: Offset = None,
    feature_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where what frozen layers make of samples is kept, see `tfplus train`: a sample "
            "that was seen is answered from there.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The outputs as JSON: name to a list of samples.")
    ] = False,
) -> None:
    """Write what a model returns for samples, as Keras' predict does, for any number of them.

    \b
    Examples:
      tfplus predict lenet.tflite --data new.npz -o outputs.npz
      tfplus predict lenet.tflite --data new.npz --weights lenet.safetensors --json
    """
    if (output is None) != as_json:
        raise UsageError("expected --output FILE or --json, one of them")
    import numpy as np

    from tfplus.features.costs import INFERENCE
    from tfplus.model_file import artifact
    from tfplus.system.files import write_atomic
    from tfplus_agent.commands.training import local_training
    from tfplus_agent.features.metering import metered

    if output is not None and not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such directory for the output")
    scaled = scaling.parse(scale, offset)
    setup = local_training.setup_of(model, None, None, scaling=scaled, features=feature_cache)
    with metered(feature_cache, INFERENCE), local_training.worker(setup, weights) as worker:
        returned = worker.predict(absolute(data))
    names = [o.name for o in artifact.read(model).manifest.outputs]
    found: dict[str, Any] = {name: returned[name] for name in names}
    if output is None:
        print_json({name: value.tolist() for name, value in found.items()})
        return
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **found)
    write_atomic(output, content.getvalue())
    shapes = ", ".join(f"{n} {list(v.shape)}" for n, v in found.items())
    stderr_console().print(f"wrote {output}: {shapes}", markup=False, soft_wrap=True)
