"""What the commands about jobs share: the agent, the submission, the events as they come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import RemoteError

if TYPE_CHECKING:
    from rich.console import Console

    from tfplus.fleet.clients.client import AgentClient
    from tfplus.proto.v1 import agent_pb2 as pb

Agent = Annotated[str, typer.Argument(metavar="HOST:PORT", help="The agent.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
OwnId = Annotated[
    str,
    typer.Option(
        "--id", help="Name of the job, so that the same command twice makes one; else a number."
    ),
]
Priority = Annotated[
    int,
    typer.Option(
        min=-100, max=100, help="Of those that wait, one of the highest goes first; stops none."
    ),
]
Attached = Annotated[
    bool, typer.Option("--attached", help="Watch it, and cancel it when this command ends.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Watch it to its end, as `tfplus jobs watch` does.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON.")]


def client_of(agent: str, tls_dir: Path | None, *, insecure: bool) -> AgentClient:
    """A connection to an agent."""
    from tfplus.fleet.clients.client import AgentClient

    return AgentClient(agent, encryption.tls_files(tls_dir, insecure=insecure), insecure=insecure)


def submit(
    client: AgentClient,
    spec: pb.JobSpec,
    job_id: str,
    *,
    wait: bool,
    attached: bool,
    as_json: bool,
) -> None:
    """Submits a job, and says so, or shows its events to the end."""
    from tfplus.cli.text import jobs as jobs_text

    if attached:
        show(client.run_attached_job(spec, job_id), job_id or "attached", as_json=as_json)
        return
    job = client.submit_job(spec, job_id)
    if wait:
        watch_to_end(client, job.id, 0, 60.0, as_json=as_json)
    elif as_json:
        print_json(jobs_text.described(job))
    else:
        stdout_console().print(
            f"job {job.id}: {jobs_text.state_of(job)}; tfplus jobs watch {client.address} {job.id}",
            markup=False,
            soft_wrap=True,
        )


def watch_to_end(
    client: AgentClient, job_id: str, from_sequence: int, patience_s: float, *, as_json: bool
) -> None:
    """Shows a job's events to the end, through broken links."""
    from tfplus.fleet.job_events import follow

    talk = stderr_console()
    events = follow(
        client,
        job_id,
        from_sequence,
        patience_s=patience_s,
        on_lost=lambda why: _say(talk, f"{why}; waiting for it"),
    )
    show(events, job_id, as_json=as_json)


def show(events: Iterable[pb.JobEvent], job_id: str, *, as_json: bool) -> None:
    """Shows events as they come.

    Raises:
      RemoteError: the job failed or was cancelled.
    """
    from tfplus.cli.text import jobs as jobs_text
    from tfplus.proto.v1 import agent_pb2 as pb

    console = stdout_console()
    last: pb.JobEvent | None = None
    for last in events:
        if as_json:
            typer.echo(json.dumps(jobs_text.event_described(last)))
        else:
            _say(console, jobs_text.line(last))
    if last is not None and last.kind == pb.JobEvent.FAILED:
        raise RemoteError(f"job {job_id} failed: {last.reason}")
    if last is not None and last.kind == pb.JobEvent.CANCELLED:
        raise RemoteError(f"job {job_id} was cancelled after {last.steps_done} steps")


def show_all(
    clients: Mapping[str, AgentClient], job_id: str, patience_s: float, *, as_json: bool
) -> None:
    """Shows the events of jobs of one id on several agents, as they come.

    Raises:
      RemoteError: one failed, was cancelled, or its agent was lost.
    """
    from tfplus.cli.text import jobs as jobs_text
    from tfplus.errors import TfplusError
    from tfplus.fleet.job_events import follow_all
    from tfplus.proto.v1 import agent_pb2 as pb

    console, talk = stdout_console(), stderr_console()
    unwell: dict[str, str] = {}

    def lost(name: str, why: str) -> None:
        _say(talk, f"{name}: {why}; waiting for it")

    for name, event in follow_all(clients, job_id, patience_s=patience_s, on_lost=lost):
        if isinstance(event, TfplusError):
            unwell[name] = str(event)
            _say(talk, f"{name}: {event}")
            continue
        if event.kind in (pb.JobEvent.FAILED, pb.JobEvent.CANCELLED):
            unwell[name] = jobs_text.line(event)
        if as_json:
            typer.echo(json.dumps({"agent": name, **jobs_text.event_described(event)}))
        else:
            _say(console, f"{name}: {jobs_text.line(event)}")
    if unwell:
        told = "; ".join(f"{name}: {why}" for name, why in unwell.items())
        raise RemoteError(f"job {job_id} did not finish on {len(unwell)} of {len(clients)}: {told}")


def _say(console: Console, text: str) -> None:
    # Reasons come from agents: nothing of them is markup or steers the terminal.
    safe = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    console.print(safe, markup=False, soft_wrap=True)
