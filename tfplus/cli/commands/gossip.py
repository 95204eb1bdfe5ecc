"""`tfplus gossip`: a gossip run on agents, from the models to the recomposed result."""

from __future__ import annotations

import re
import secrets
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console
from tfplus.data import scaling
from tfplus.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from tfplus.fleet.gossip_run import GossipSession
    from tfplus.fleet.run_options import RunOptions

app = typer.Typer(add_completion=False)

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})=(.+)")


@app.command()
def gossip(
    model: Annotated[
        list[str],
        typer.Option(help="Exported file for every agent, or NAME=FILE for one; repeat."),
    ],
    rounds: Annotated[int, typer.Option(min=1, max=100_000, help="How often neighbours average.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory that the result goes to.")
    ],
    agent: Annotated[
        list[str] | None,
        typer.Option(help="HOST:PORT of an agent, in the order of the topology; repeat."),
    ] = None,
    agents_file: Annotated[
        Path | None, typer.Option(help="More agents: one HOST:PORT a line; # starts a comment.")
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, max=100_000, help="Local epochs before each average.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Shuffles the samples.")] = 0,
    round_timeout: Annotated[
        float,
        typer.Option(min=0.1, max=600, help="Seconds to wait for neighbours, then average."),
    ] = 30.0,
    topology: Annotated[
        str,
        typer.Option(
            help="Who is whose neighbour: ring, line, star (around the first agent), mesh, "
            "exponential, random-regular."
        ),
    ] = "ring",
    degree: Annotated[
        int, typer.Option(min=2, max=256, help="Neighbours an agent, of random-regular.")
    ] = 4,
    mixing: Annotated[
        str,
        typer.Option(
            help="How agents average: metropolis, uniform, or against broken peers clipped, "
            "trimmed-mean."
        ),
    ] = "metropolis",
    codec: Annotated[
        str,
        typer.Option(
            help="What agents send: float32, or differences as float16, int8 or top-k[:SHARE]."
        ),
    ] = "float32",
    recompose: Annotated[
        Path | None,
        typer.Option(help="Global model: also write a copy of it with the recomposed weights."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="Go on with a run that was interrupted.")
    ] = None,
    keep_snapshots: Annotated[
        bool, typer.Option("--keep-snapshots", help="Agents keep the weights of every round.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="FACTOR",
            help="What a model gets of a value of the agents' data is value * FACTOR + OFFSET, "
            "such as 1/255: instead of what its file declares, and for floats, too. An agent that "
            "was started with --scale keeps its own.",
        ),
    ] = None,
    offset: Annotated[
        str | None, typer.Option(metavar="OFFSET", help="See --scale; 0 if not given.")
    ] = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Lets agents learn together: local epochs, then averages with their neighbours.

    Agents are told their neighbours and go on by themselves; this command watches. Agents reach
    each other under the addresses given here. An agent that vanishes is reported and taken back if
    it returns; the others do not wait for it. Ctrl-C stops the run on all agents.

    Writes recomposed.safetensors: shared slices averaged over all agents, task slices over those
    that hold them; with --recompose also recomposed.tflite.

    Exit code 5 says that an agent failed or was lost; the result of the others is written.

    \b
    Examples:
      tfplus gossip --agent 127.0.0.1:7001 --agent 127.0.0.1:7002 \\
          --model lenet.tflite --rounds 10 -o run
      tfplus gossip --agents-file ring.txt --model pi1=a.tflite --model pi2=b.tflite \\
          --rounds 20 --epochs 2 --tls-dir certs/desk --recompose global.tflite -o run
      tfplus gossip --agents-file devices.txt --model lenet.tflite --rounds 20 -o run \\
          --topology random-regular --degree 4
      tfplus gossip --agents-file ring.txt --model lenet.tflite --rounds 20 -o run --codec int8
      tfplus gossip --agents-file ring.txt --model lenet.tflite --rounds 20 -o run \\
          --resume 20260131-120000-1f2e3d
    """
    from tfplus.fleet import addresses
    from tfplus.fleet.gossip_run import GossipSession
    from tfplus.fleet.run_options import RunOptions
    from tfplus.gossip.compression.registry import link_codec
    from tfplus.gossip.membership import registry

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    asked = addresses.gather(agent or [], agents_file)
    _check_files(model, recompose)
    # Before any agent is asked for anything, as the files are.
    registry.graph(topology, asked, degree=degree, seed=seed)
    options = RunOptions(
        run_id=resume or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
        rounds=rounds,
        epochs=epochs,
        seed=seed,
        round_timeout_s=round_timeout,
        resume=resume is not None,
        keep_snapshots=keep_snapshots,
        tls=tls,
        insecure=insecure,
        topology=topology,
        degree=degree,
        mixing=_known_mixing(mixing),
        codec=link_codec(codec).name,
        scaling=scaling.parse(scale, offset),
    )
    output.mkdir(parents=True, exist_ok=True)
    with GossipSession(asked, options) as session:
        summary = _run(session, model, output, recompose)
    if as_json:
        print_json(summary)
    unwell = {n: a["error"] or a["state"] for n, a in summary["agents"].items() if not a["well"]}
    if unwell:
        told = "; ".join(f"'{name}': {why}" for name, why in unwell.items())
        raise RemoteError(
            f"{len(unwell)} of {len(summary['agents'])} agents did not finish: {told}; the result "
            f"of the others is in {output}"
        )


def _run(
    session: GossipSession, models: Sequence[str], output: Path, recompose: Path | None
) -> dict[str, Any]:
    from tfplus.cli.text.gossip import GossipTable, compared
    from tfplus.gossip.compression.registry import FLOAT32

    console = stderr_console()
    started_at = time.monotonic()
    session.connect()
    try:
        warnings = session.load(_models_by_name(models, session.names))
        session.start()
        console.print(f"run {session.options.run_id} on {len(session.names)} agents", markup=False)
        with GossipTable(session.names, session.options.rounds, console) as table:
            for name, texts in warnings.items():
                table.warn(name, texts)
            for update in session.updates():
                table.show(update)
    except KeyboardInterrupt:
        deaf = session.stop()
        for name, why in deaf.items():
            console.print(f"agent '{name}' could not be told to stop: {why}", markup=False)
        console.print(
            f"stopped; to go on: {_command_to_go_on(session.options)}", markup=False, soft_wrap=True
        )
        raise
    written, kept = _write(session, output, recompose)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if kept:
        console.print(
            f"no agent holds {len(kept)} weights of {recompose}, such as {kept[0]}: they are as "
            "they were",
            markup=False,
        )
    totals = table.totals
    sent_bytes = sum(t.sent_bytes for t in totals.values())
    as_float32_bytes = sum(t.sent_as_float32_bytes for t in totals.values())
    if session.options.codec != FLOAT32:
        console.print(compared(session.options.codec, sent_bytes, as_float32_bytes), markup=False)
    return {
        "run_id": session.options.run_id,
        "rounds": session.options.rounds,
        "seconds": time.monotonic() - started_at,
        "codec": session.options.codec,
        "bytes_sent": sent_bytes,
        "bytes_sent_as_float32": as_float32_bytes,
        "bytes_received": sum(t.received_bytes for t in totals.values()),
        "files": [str(path) for path in written],
        "agents": {
            name: {
                "address": session.addresses[name],
                "state": end.state,
                "well": end.state == "finished",
                "round": end.round,
                "error": end.error,
                "warnings": list(totals[name].warnings),
                "loss": totals[name].loss,
                "metrics": dict(totals[name].metrics),
                "eval_metrics": dict(totals[name].eval_metrics),
                "bytes_sent": totals[name].sent_bytes,
                "bytes_sent_as_float32": totals[name].sent_as_float32_bytes,
                "bytes_received": totals[name].received_bytes,
            }
            for name, end in ((n, session.ends[n]) for n in session.names)
        },
    }


def _write(
    session: GossipSession, output: Path, model: Path | None
) -> tuple[list[Path], list[str]]:
    from safetensors.numpy import save

    from tfplus.fleet.global_model import write_global
    from tfplus.system.files import write_atomic

    values = session.recompose()
    written = [output / "recomposed.safetensors"]
    write_atomic(written[0], save(values))
    kept: list[str] = []
    if model is not None:
        written.append(output / "recomposed.tflite")
        kept = write_global(model, values, written[1])
    return written, kept


def _check_files(models: Sequence[str], recompose: Path | None) -> None:
    # Before any agent is asked for anything: a typing error should cost no round.
    from tfplus.fleet.common_slices import check_common_slices
    from tfplus.model_file import artifact

    paths = [Path(named[2] if (named := _NAMED.fullmatch(text)) else text) for text in models]
    check_common_slices([artifact.read(path) for path in paths])
    if recompose is not None:
        whole = artifact.read(recompose)
        for path in paths:
            check_common_slices([whole, artifact.read(path)], at_least_one=True)


def _known_mixing(name: str) -> str:
    from tfplus.gossip.mixing.registry import MIXINGS

    if name not in MIXINGS:
        raise UsageError(f"--mixing {name}: expected one of {', '.join(MIXINGS)}")
    return name


def _models_by_name(models: Sequence[str], names: Sequence[str]) -> Mapping[str, Path]:
    default: Path | None = None
    chosen: dict[str, Path] = {}
    for text in models:
        named = _NAMED.fullmatch(text)
        if named is None:
            if default is not None:
                raise UsageError(f"--model {default} and --model {text}: one may stand for all")
            default = Path(text)
            continue
        if named[1] not in names:
            raise UsageError(f"--model {text}: no agent is called '{named[1]}': {sorted(names)}")
        chosen[named[1]] = Path(named[2])
    for name in names:
        if (model := chosen.get(name, default)) is None:
            raise UsageError(f"agent '{name}' has no model: give --model {name}=FILE")
        chosen[name] = model
    return chosen


def _command_to_go_on(options: RunOptions) -> str:
    arguments = sys.argv[1:]
    if not options.resume:
        arguments = [*arguments, "--resume", options.run_id]
    return shlex.join(["tfplus", *arguments])
