"""The command `tfplus agent`, and where the agent's commands are mounted."""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.errors import MissingExtraError, UsageError
from tfplus.system.files import write_atomic
from tfplus_agent.commands.doctor import doctor
from tfplus_agent.storage import naming

if TYPE_CHECKING:
    from tfplus_agent.server.agent_server import AgentServer

app = typer.Typer(add_completion=False)
app.command()(doctor)


@app.command()
def agent(
    data: Annotated[
        Path,
        typer.Option(help="Training data: an .npz with x and y, or a directory with x.npy, y.npy."),
    ],
    eval_data: Annotated[
        Path | None, typer.Option(help="Evaluation data, of the same form.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name among its peers; by default its certificate's, or the host name."),
    ] = None,
    listen: Annotated[
        str, typer.Option(help="HOST:PORT to serve on; port 0 takes a free one.")
    ] = "127.0.0.1:50051",
    state_dir: Annotated[
        Path | None,
        typer.Option(help="Models and checkpoints; $XDG_STATE_HOME/tfplus/NAME by default."),
    ] = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Of the interpreter; 0 for one on each fast core.")
    ] = 0,
    runtime: Annotated[str, typer.Option(help="auto, ai-edge-litert or tflite-runtime.")] = "auto",
    accelerator: Annotated[
        str,
        typer.Option(
            help="auto, cpu or gpu: the GPU takes models that were exported for it, where it "
            "computes what the CPU does."
        ),
    ] = "auto",
    loss_every: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="On a GPU, read the loss after so many steps: it need not wait for each. Means "
            "are then over the steps that were read.",
        ),
    ] = 1,
    gpu_precision: Annotated[
        str,
        typer.Option(
            help="float32 or float16: what a GPU computes in. Weights stay float32; float16 is "
            "faster where the GPU has it, and less exact."
        ),
    ] = "float32",
    keep_runs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Finished gossip runs that stay on disk when another begins; one that can be gone "
            "on with is never removed.",
        ),
    ] = 10,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the ready line here once it serves.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The ready line as JSON.")] = False,
) -> None:
    """Serve this device: it trains on its own data, which never leaves it.

    Runs until SIGTERM or Ctrl-C; what was learned is on disk by then.
    Without --tls-dir it serves plaintext, on loopback alone unless --insecure.

    \b
    Examples:
      tfplus agent --data digits.npz
      tfplus agent --data /srv/samples --eval-data held_out.npz --name pi-3 \\
          --listen 0.0.0.0:50051 --tls-dir certs/pi-3
      tfplus agent --data digits.npz --listen 127.0.0.1:0 --json
    """
    # gRPC's C core would write its own line about a port in use beside the error message.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from tfplus.runtime import gpu_model
        from tfplus_agent.server import agent_server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfplus"):
            raise
        raise MissingExtraError.of("tfplus agent", "agent") from error
    from tfplus.runtime.gpu import precision_named
    from tfplus_agent.device.device import DeviceConfig

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    if accelerator not in gpu_model.NAMES:
        raise UsageError(f"--accelerator {accelerator}: expected {', '.join(gpu_model.NAMES)}")
    name = naming.own_name(name, tls)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    config = agent_server.ServerConfig(
        DeviceConfig(
            name,
            state_dir or naming.default_state_dir(name),
            data,
            eval_data,
            runtime,
            threads,
            accelerator,
            loss_every,
            precision_named(gpu_precision),
        ),
        listen,
        tls,
        insecure,
        keep_runs,
    )

    def on_ready(serving: AgentServer) -> None:
        line = json.dumps({"address": serving.address, "name": name, "pid": os.getpid()})
        if ready_file is not None:
            write_atomic(ready_file, f"{line}\n".encode())
        found = serving.device.runtime
        # typer.echo flushes, so that a reader of a pipe sees the line at once.
        typer.echo(
            line
            if as_json
            else f"agent '{name}' serves on {serving.address} ({found.name} {found.version}, "
            f"{serving.device.train_samples} samples); Ctrl-C ends it"
        )

    if agent_server.serve(config, on_ready) == signal.SIGINT:
        raise KeyboardInterrupt
