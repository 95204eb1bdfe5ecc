"""`tfplus jobs`: work that an agent does by itself, one job after the other."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.commands.jobs import submission
from tfplus.cli.commands.jobs.running import (
    Agent,
    AsJson,
    JobId,
    client_of,
    show_all,
    watch_to_end,
)
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import UsageError

app = typer.Typer(
    name="jobs",
    help="Give an agent work that it does by itself: queued, watched, held, cancelled.",
    no_args_is_help=True,
)


@app.command("list")
def list_jobs(
    agent: Agent,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Lists the jobs that wait, run or have ended.

    \b
    Examples:
      tfplus jobs list 127.0.0.1:50051
      tfplus jobs list pi-1.local:50051 --tls-dir certs/desk --json | jq '.[] | .state'
    """
    from tfplus.cli.text import jobs as jobs_text

    with client_of(agent, tls_dir, insecure=insecure) as client:
        found = client.jobs()
    if as_json:
        print_json([jobs_text.described(job) for job in found])
    elif found:
        stdout_console().print(jobs_text.table(found))
    else:
        stderr_console().print(f"no jobs on {agent}", markup=False)


@app.command()
def watch(
    agent: Agent,
    job: JobId,
    from_sequence: Annotated[
        int, typer.Option("--from", min=0, help="Leave out events with smaller numbers.")
    ] = 0,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Another agent with a job of that id, as those of a gossip run have; repeat.",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for an agent that cannot be reached.")
    ] = 60.0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The events as JSON, one a line.")
    ] = False,
) -> None:
    """Shows a job's events from the first to the last, also those of before; Ctrl-C stops nothing.

    A gossip run is a job of its run's id on each of its agents, whoever started it; with --also all
    of them are shown, each line with its agent in front.

    Exit code 5 says that the job failed or was cancelled.

    \b
    Examples:
      tfplus jobs watch 127.0.0.1:50051 3
      tfplus jobs watch pi1:50051 20260131-120000-1f2e3d --also pi2:50051 --tls-dir certs/desk
      tfplus jobs watch pi-1.local:50051 nightly --tls-dir certs/desk --json | jq .loss
    """
    if also and from_sequence:
        raise UsageError("--from is of one agent: events of another have other numbers")
    with contextlib.ExitStack() as stack:
        clients = {
            address: stack.enter_context(client_of(address, tls_dir, insecure=insecure))
            for address in dict.fromkeys((agent, *(also or ())))
        }
        if len(clients) > 1:
            show_all(clients, job, patience, as_json=as_json)
        else:
            watch_to_end(clients[agent], job, from_sequence, patience, as_json=as_json)


@app.command()
def cancel(
    agent: Agent,
    job: JobId,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Ends a job; a training stops after its step and keeps what it learned.

    \b
    Examples:
      tfplus jobs cancel 127.0.0.1:50051 3
    """
    with client_of(agent, tls_dir, insecure=insecure) as client:
        was_unfinished = client.cancel_job(job)
    done = "cancelled" if was_unfinished else "had ended before"
    stderr_console().print(f"job {job}: {done}", markup=False)


@app.command()
def pause(
    agent: Agent,
    job: JobId,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Holds a job until `tfplus jobs resume`, also over restarts of the agent.

    A training stops after its step with a checkpoint, and ends its worker; it keeps the device, and
    goes on as if it had never been held. One that waits lets the others go first.

    \b
    Examples:
      tfplus jobs pause 127.0.0.1:50051 3
    """
    with client_of(agent, tls_dir, insecure=insecure) as client:
        was_going_on = client.pause_job(job)
    done = "held" if was_going_on else "was held already"
    stderr_console().print(f"job {job}: {done}; tfplus jobs resume {agent} {job}", markup=False)


@app.command()
def resume(
    agent: Agent,
    job: JobId,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Lets a job go on that `tfplus jobs pause` holds.

    \b
    Examples:
      tfplus jobs resume 127.0.0.1:50051 3
    """
    with client_of(agent, tls_dir, insecure=insecure) as client:
        was_paused = client.resume_job(job)
    done = "goes on" if was_paused else "was not held"
    stderr_console().print(f"job {job}: {done}", markup=False)


@app.command()
def result(
    agent: Agent,
    job: JobId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz to write.")],
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
) -> None:
    """Fetches what a prediction left on the agent: an array for each output.

    \b
    Examples:
      tfplus jobs result 127.0.0.1:50051 outputs -o outputs.npz
    """
    import numpy as np

    from tfplus.system.files import write_atomic

    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such directory for the output")
    with client_of(agent, tls_dir, insecure=insecure) as client:
        found = client.job_result(job)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **found)
    write_atomic(output, content.getvalue())
    shapes = ", ".join(f"{n} {list(v.shape)}" for n, v in found.items())
    stderr_console().print(f"wrote {output}: {shapes}", markup=False, soft_wrap=True)


for command in (submission.train, submission.evaluate, submission.predict):
    app.command()(command)
app.command()(submission.benchmark)
