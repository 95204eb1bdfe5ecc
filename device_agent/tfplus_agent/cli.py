"""The command `tfplus agent`, and where the agent's commands are mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption, quantities
from tfplus.data import scaling
from tfplus.gossip.transport.upload_cap import UploadCap
from tfplus.system.processor_use import ProcessorUse
from tfplus_agent import daemon
from tfplus_agent.commands.agent_group import ServeOrCommand, is_for_a_command
from tfplus_agent.commands.doctor import doctor
from tfplus_agent.commands.features import group as features
from tfplus_agent.commands.health import health
from tfplus_agent.commands.install import PASS_ON, install
from tfplus_agent.commands.pair import pair
from tfplus_agent.commands.sensors import sensors
from tfplus_agent.commands.tiles import tiles
from tfplus_agent.commands.training import weights
from tfplus_agent.commands.training.evaluate import evaluate, predict
from tfplus_agent.commands.training.train import train
from tfplus_agent.jobs.limits.gates import Hours

app = typer.Typer(add_completion=False)
for command in (doctor, evaluate, predict, sensors, train):
    app.command()(command)
agent_app = typer.Typer(cls=ServeOrCommand, subcommand_metavar="[COMMAND]")
agent_app.command(context_settings=PASS_ON)(install)
agent_app.command()(health)
agent_app.command()(pair)
agent_app.command()(tiles)
app.add_typer(agent_app, name="agent")
app.add_typer(features.app, name="features")
app.add_typer(weights.app, name="weights")


@agent_app.callback(invoke_without_command=True)
def agent(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            help="Training data: an .npz with x and y, a directory with x.npy, y.npy, folders of "
            "images or WAV by class, CSV, or a store of samples; see docs/data.md."
        ),
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
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="FACTOR",
            help="What the model gets of a value is value * FACTOR + OFFSET, such as 1/255: "
            "instead of what the model's file declares, and for floats, too.",
        ),
    ] = None,
    offset: Annotated[
        str | None, typer.Option(metavar="OFFSET", help="See --scale; 0 if not given.")
    ] = None,
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
    keep_models: Annotated[
        int,
        typer.Option(
            min=1,
            help="Models that stay on disk, with their checkpoints, beside the one that is loaded; "
            "those of gossip runs that can be gone on with are never removed.",
        ),
    ] = 10,
    feature_cache_mb: Annotated[
        int,
        typer.Option(
            min=1,
            help="What frozen layers made of samples stays on disk up to this size, for models "
            "that were exported with --cached.",
        ),
    ] = 1024,
    min_battery: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            metavar="PERCENT",
            help="Training waits while the battery holds less, unless the device is plugged in.",
        ),
    ] = None,
    only_charging: Annotated[
        bool, typer.Option("--only-charging", help="Training waits while it is not plugged in.")
    ] = False,
    max_temperature: Annotated[
        float | None,
        typer.Option(metavar="CELSIUS", help="Training waits while a thermal zone is warmer."),
    ] = None,
    not_throttled: Annotated[
        bool, typer.Option("--not-throttled", help="Training waits while the firmware throttles.")
    ] = False,
    max_load: Annotated[
        float | None,
        typer.Option(min=0, help="Training waits while other programs keep more cores busy."),
    ] = None,
    hours: Annotated[
        str | None,
        typer.Option(metavar="22:00-06:00", help="Training waits outside these, local time."),
    ] = None,
    priority: Annotated[
        str,
        typer.Option(help="foreground or background: training gives way to all else that runs."),
    ] = "foreground",
    cpus: Annotated[
        str | None, typer.Option(metavar="2-3", help="Cores that training may use.")
    ] = None,
    cpu_share: Annotated[
        str | None,
        typer.Option(metavar="50%", help="Of the time; for the rest it pauses between steps."),
    ] = None,
    upload_cap: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Of what gossip sends, in all, such as 500kB/s."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve sensors and progress to Prometheus there, under /metrics, with the agent's "
            "own certificate (extra `metrics`).",
        ),
    ] = None,
    announce: Annotated[
        bool,
        typer.Option(
            "--announce",
            help="Be found in the local network by mDNS (extra `discovery`): name, port, version "
            "and the certificate's host can then be read by everybody there.",
        ),
    ] = False,
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
      tfplus agent --data pixels.npz --scale 1/255
      tfplus agent --data digits.npz --listen 127.0.0.1:0 --json
      tfplus agent --data digits.npz --metrics 127.0.0.1:9464
      tfplus agent --data digits.npz --priority background --cpus 2-3 --cpu-share 50%
      tfplus agent --data digits.npz --upload-cap 2Mbit/s
      tfplus agent --data digits.npz --min-battery 40 --max-temperature 70 --hours 22:00-06:00
    """
    if is_for_a_command(context):
        return
    scaling.parse(scale, offset)
    if hours is not None:
        Hours.parse(hours)
    ProcessorUse.parse(priority, cpus, cpu_share)
    encryption.tls_files(tls_dir, insecure=insecure)
    upload_bytes_per_s = None
    if upload_cap is not None:
        upload_bytes_per_s = quantities.bytes_per_s(upload_cap)
        UploadCap(upload_bytes_per_s)
    daemon.become(
        {
            "name": name,
            "data": data,
            "eval_data": eval_data,
            "state_dir": state_dir,
            "runtime": runtime,
            "threads": threads,
            "accelerator": accelerator,
            "loss_every": loss_every,
            "gpu_precision": gpu_precision,
            "scale": scale,
            "offset": offset,
            "listen": listen,
            "tls_dir": tls_dir,
            "insecure": insecure,
            "keep_runs": keep_runs,
            "keep_models": keep_models,
            "feature_cache_mb": feature_cache_mb,
            "gates": {
                "min_battery_percent": min_battery,
                "only_charging": only_charging,
                "max_celsius": max_temperature,
                "not_throttled": not_throttled,
                "max_load": max_load,
                "hours": hours,
            },
            "priority": priority,
            "cpus": cpus,
            "cpu_share": cpu_share,
            "upload_bytes_per_s": upload_bytes_per_s,
            "metrics": metrics,
            "announce": announce,
            "ready_file": ready_file,
            "as_json": as_json,
        }
    )
