"""The commands `tfplus weights get` and `tfplus weights set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console
from tfplus.errors import UsageError
from tfplus_agent.commands import remote

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Weights by the names of their slices, of a file or of an agent.",
)

Prefixes = Annotated[
    list[str] | None,
    typer.Option("--slice", help="Slices under this name, such as shared or task/3; repeat."),
]


@app.command("get")
def get(
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors to write.")],
    source: Annotated[
        Path | None, typer.Argument(help="An exported .tflite, or a .safetensors.")
    ] = None,
    slice_prefix: Prefixes = None,
    optimizer: Annotated[
        bool, typer.Option("--optimizer", help="Also what the optimizer keeps.")
    ] = False,
    agent: remote.AgentAddress = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was written, as JSON.")] = False,
) -> None:
    """Write weights by name, all or some slices; of an agent also while it trains.

    \b
    Examples:
      tfplus weights get --agent pi-1.local:50051 --tls-dir certs/desk -o pi-1.safetensors
      tfplus weights get lenet.safetensors --slice shared -o shared.safetensors
      tfplus weights get lenet.tflite -o initial.safetensors --json | jq keys
    """
    from tfplus.model_file import artifact, weights_file
    from tfplus.tensors.slices import OPTIMIZER, select

    if (source is None) == (agent is None):
        raise UsageError("expected a FILE or --agent HOST:PORT, one of them")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such directory for the weights")
    prefixes = tuple(slice_prefix or ())
    if agent is not None:
        with remote.connect(agent, tls_dir, insecure=insecure) as client:
            read = client.read_weights(prefixes, include_optimizer=optimizer)
        chosen, of = read.tensors, f", after step {read.trained_steps:,} (its {read.source})"
    else:
        remote.refuse(agent, tls_dir=tls_dir, insecure=insecure)
        path = source or Path()
        if path.suffix == ".tflite":
            read = artifact.read(path)
            values = artifact.initial_values(read)
            kept = {v.name for v in read.manifest.weights}
        else:
            values = weights_file.read(path)
            kept = {n for n in values if n.partition("/")[0] not in (OPTIMIZER, "random")}
        names = [n for n in values if optimizer or n in kept]
        chosen, of = {name: values[name] for name in select(names, prefixes)}, ""
    weights_file.write(output, chosen)
    if as_json:
        print_json({n: {"shape": v.shape, "dtype": v.dtype.name} for n, v in chosen.items()})
    size = sum(v.nbytes for v in chosen.values())
    stderr_console().print(
        f"wrote {output}: {len(chosen)} tensors, {size:,} bytes{of}", markup=False, soft_wrap=True
    )


@app.command("set")
def set_(
    weights: Annotated[Path, typer.Argument(help="Weights by name, a .safetensors.")],
    slice_prefix: Prefixes = None,
    model: Annotated[
        Path | None, typer.Option(help="An exported .tflite: write a copy that starts from them.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The copy of --model to write.")
    ] = None,
    agent: remote.AgentAddress = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Set weights by name on an agent, or in a copy of an exported file; the others stay.

    \b
    Examples:
      tfplus weights set desk.safetensors --agent pi-1.local:50051 --tls-dir certs/desk
      tfplus weights set desk.safetensors --slice shared --agent 127.0.0.1:50051
      tfplus weights set lenet.safetensors --model lenet.tflite -o trained.tflite
    """
    from tfplus.model_file import artifact, weights_file
    from tfplus.tensors.slices import select
    from tfplus_agent.commands.training.local_training import fitting_weights

    if (model is None) == (agent is None):
        raise UsageError("expected --agent HOST:PORT or --model FILE, one of them")
    prefixes = tuple(slice_prefix or ())
    if agent is not None:
        remote.refuse(agent, output=output)
        values = weights_file.read(weights)
        chosen = {name: values[name] for name in select(values, prefixes)}
        with remote.connect(agent, tls_dir, insecure=insecure) as client:
            client.set_weights(chosen)
        done = agent
    else:
        remote.refuse(agent, tls_dir=tls_dir, insecure=insecure)
        if output is None or model is None:
            raise UsageError("--model goes with --output FILE: the copy to write")
        read = artifact.read(model)
        values = fitting_weights(read, weights)
        chosen = {name: values[name] for name in select(values, prefixes)}
        artifact.with_values(read, chosen, output)
        done = str(output)
    stderr_console().print(f"set {len(chosen)} tensors of {done}", markup=False, soft_wrap=True)
