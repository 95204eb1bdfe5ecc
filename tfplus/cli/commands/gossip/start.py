"""`tfplus gossip`: a gossip run on agents, from the models to the recomposed result."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.commands.gossip.models import check_files
from tfplus.cli.commands.gossip.outcome import run
from tfplus.cli.output import print_json
from tfplus.data import scaling
from tfplus.errors import RemoteError, UsageError


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
        typer.Option(min=0.1, max=600, help="Seconds to wait for neighbours, at most."),
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
            help="What agents send: float32, or differences as float16, int8 or top-k[:SHARE]; "
            "auto chooses among the first three by each link's speed."
        ),
    ] = "float32",
    membership: Annotated[
        str,
        typer.Option(
            help="none: neighbours stay those of the start. swim: agents find out who is there; "
            "who is gone gets no links, who comes back is taken in, and others can join."
        ),
    ] = "none",
    probe_period: Annotated[
        float,
        typer.Option(
            min=0.05, max=60, help="Of swim: seconds between an agent's questions who is there."
        ),
    ] = 1.0,
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
          --membership swim
      tfplus gossip --agents-file ring.txt --model lenet.tflite --rounds 20 -o run \\
          --resume 20260131-120000-1f2e3d
    """
    from tfplus.fleet import addresses
    from tfplus.fleet.gossip_run import GossipSession
    from tfplus.fleet.run_options import RunOptions
    from tfplus.gossip.compression.choosing import checked
    from tfplus.gossip.membership import registry

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    asked = addresses.gather(agent or [], agents_file)
    check_files(model, recompose)
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
        codec=checked(codec),
        membership=_known_membership(membership),
        probe_period_s=probe_period,
        scaling=scaling.parse(scale, offset),
    )
    output.mkdir(parents=True, exist_ok=True)
    with GossipSession(asked, options) as session:
        summary = run(session, model, output, recompose)
    if as_json:
        print_json(summary)
    unwell = {n: a["error"] or a["state"] for n, a in summary["agents"].items() if not a["well"]}
    if unwell:
        told = "; ".join(f"'{name}': {why}" for name, why in unwell.items())
        raise RemoteError(
            f"{len(unwell)} of {len(summary['agents'])} agents did not finish: {told}; the result "
            f"of the others is in {output}"
        )


def _known_mixing(name: str) -> str:
    from tfplus.gossip.mixing.registry import MIXINGS

    if name not in MIXINGS:
        raise UsageError(f"--mixing {name}: expected one of {', '.join(MIXINGS)}")
    return name


def _known_membership(name: str) -> str:
    from tfplus.fleet.run_options import MEMBERSHIPS

    if name not in MEMBERSHIPS:
        raise UsageError(f"--membership {name}: expected one of {', '.join(MEMBERSHIPS)}")
    return name
