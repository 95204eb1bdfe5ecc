"""`tfplus jobs`: work that an agent does by itself, one job after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from tfplus.fleet.client import AgentClient
    from tfplus.proto.v1 import agent_pb2 as pb

app = typer.Typer(
    name="jobs",
    help="Give an agent work that it does by itself: queued, watched, cancelled.",
    no_args_is_help=True,
)
Agent = Annotated[str, typer.Argument(metavar="HOST:PORT", help="The agent.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
OwnId = Annotated[
    str,
    typer.Option(
        "--id", help="Name of the job, so that the same command twice makes one; else a number."
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Watch it to its end, as `tfplus jobs watch` does.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


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

    with _client(agent, tls_dir, insecure=insecure) as client:
        found = client.jobs()
    if as_json:
        print_json([jobs_text.described(job) for job in found])
    elif found:
        stdout_console().print(jobs_text.table(found))
    else:
        stderr_console().print(f"no jobs on {agent}", markup=False)


@app.command()
def train(
    agent: Agent,
    epochs: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Passes over the data.")] = 0,
    steps: Annotated[
        int, typer.Option(min=0, max=2**53, help="Stop after so many steps; alone: so many.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Shuffles the samples.")] = 0,
    checkpoint_every: Annotated[
        int,
        typer.Option(min=1, max=2**53, help="Steps that a crash may cost; each is written whole."),
    ] = 100,
    restarts: Annotated[
        int, typer.Option(min=0, max=1000, help="How often it goes on after its worker died.")
    ] = 3,
    model: Annotated[
        Path | None,
        typer.Option(help="Send and load this exported file first; else what is loaded trains."),
    ] = None,
    job_id: OwnId = "",
    wait: Wait = False,
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
      tfplus jobs train pi-1.local:50051 --model m.tflite --steps 2000 --seed 7 \\
          --tls-dir certs/desk --wait
    """
    from tfplus.proto.v1 import agent_pb2 as pb

    if not epochs and not steps:
        raise UsageError("train: give --epochs or --steps")
    spec = pb.JobSpec(
        train=pb.TrainJob(
            epochs=epochs,
            max_steps=steps,
            seed=seed,
            checkpoint_every=checkpoint_every,
            max_restarts=restarts,
        )
    )
    with _client(agent, tls_dir, insecure=insecure) as client:
        if model is not None:
            sha256 = client.upload(model)
            if client.status().model_sha256 != sha256:
                client.load(sha256)
        _submit(client, spec, job_id, wait=wait, as_json=as_json)


@app.command()
def evaluate(
    agent: Agent,
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

    with _client(agent, tls_dir, insecure=insecure) as client:
        spec = pb.JobSpec(evaluate=pb.EvaluateJob())
        _submit(client, spec, job_id, wait=wait, as_json=as_json)


@app.command()
def watch(
    agent: Agent,
    job: JobId,
    from_sequence: Annotated[
        int, typer.Option("--from", min=0, help="Leave out events with smaller numbers.")
    ] = 0,
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

    Exit code 5 says that the job failed or was cancelled.

    \b
    Examples:
      tfplus jobs watch 127.0.0.1:50051 3
      tfplus jobs watch pi-1.local:50051 nightly --tls-dir certs/desk --json | jq .loss
    """
    with _client(agent, tls_dir, insecure=insecure) as client:
        _watch(client, job, from_sequence, patience, as_json=as_json)


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
    with _client(agent, tls_dir, insecure=insecure) as client:
        was_unfinished = client.cancel_job(job)
    done = "cancelled" if was_unfinished else "had ended before"
    stderr_console().print(f"job {job}: {done}", markup=False)


def _client(agent: str, tls_dir: Path | None, *, insecure: bool) -> AgentClient:
    from tfplus.fleet.client import AgentClient

    return AgentClient(agent, encryption.tls_files(tls_dir, insecure=insecure), insecure=insecure)


def _submit(
    client: AgentClient, spec: pb.JobSpec, job_id: str, *, wait: bool, as_json: bool
) -> None:
    from tfplus.cli.text import jobs as jobs_text

    job = client.submit_job(spec, job_id)
    if wait:
        _watch(client, job.id, 0, 60.0, as_json=as_json)
    elif as_json:
        print_json(jobs_text.described(job))
    else:
        stdout_console().print(
            f"job {job.id}: {jobs_text.state_of(job)}; tfplus jobs watch {client.address} {job.id}",
            markup=False,
            soft_wrap=True,
        )


def _watch(
    client: AgentClient, job_id: str, from_sequence: int, patience_s: float, *, as_json: bool
) -> None:
    from tfplus.cli.text import jobs as jobs_text
    from tfplus.fleet.job_events import follow
    from tfplus.proto.v1 import agent_pb2 as pb

    talk = stderr_console()
    console = stdout_console()
    last: pb.JobEvent | None = None
    for last in follow(
        client,
        job_id,
        from_sequence,
        patience_s=patience_s,
        on_lost=lambda why: _say(talk, f"{why}; waiting for it"),
    ):
        if as_json:
            typer.echo(json.dumps(jobs_text.event_described(last)))
        else:
            _say(console, jobs_text.line(last))
    if last is not None and last.kind == pb.JobEvent.FAILED:
        raise RemoteError(f"job {job_id} failed: {last.reason}")
    if last is not None and last.kind == pb.JobEvent.CANCELLED:
        raise RemoteError(f"job {job_id} was cancelled after {last.steps_done} steps")


def _say(console: Console, text: str) -> None:
    # Reasons come from agents: nothing of them is markup or steers the terminal.
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    console.print(safe, markup=False, soft_wrap=True)
