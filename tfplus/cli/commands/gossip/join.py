"""`tfplus join`: lets an agent join a gossip run that is under way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console
from tfplus.errors import RemoteError

if TYPE_CHECKING:
    from rich.console import Console

    from tfplus.fleet.clients.client import AgentClient
    from tfplus.fleet.updates import Ended
    from tfplus.proto.v1 import agent_pb2 as pb


def join(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN_ID", help="The run, as its members know it.")
    ],
    agent: Annotated[str, typer.Option(help="HOST:PORT of the agent that joins.")],
    member: Annotated[
        str, typer.Option(help="HOST:PORT of any agent on which the run is under way.")
    ],
    model: Annotated[Path, typer.Option(help="Exported file for the agent that joins.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Show its rounds until it has ended.")
    ] = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it as JSON.")] = False,
) -> None:
    """Lets an agent join a gossip run that was started with --membership swim.

    The agent takes over the weights that members have of the slices that its model holds, too, and
    goes on with the round under way. Members reach it under the address given here, and make their
    links anew with it. Its name must be none that the run had before.

    Exit code 5 says that it could not join or, with --watch, that it did not finish.

    \b
    Examples:
      tfplus join 20260131-120000-1f2e3d --agent pi5:50051 --member pi1:50051 --model lenet.tflite
      tfplus join 20260131-120000-1f2e3d --agent pi5:50051 --member pi1:50051 \\
          --model lenet.tflite --tls-dir certs/desk --watch
    """
    from tfplus.fleet.clients.client import AgentClient
    from tfplus.model_file import artifact

    tls = encryption.tls_files(tls_dir, insecure=insecure)
    # Before any agent is asked for anything: a typing error should cost no member a round.
    artifact.read(model)
    console = stderr_console()
    with (
        AgentClient(agent, tls, insecure=insecure) as newcomer,
        AgentClient(member, tls, insecure=insecure) as known,
    ):
        name = newcomer.status().name
        # First, since it changes nothing on the agent; who never comes is not there.
        plan = known.admit_to_gossip(run_id, name, agent)
        newcomer.load(newcomer.upload(model), fresh=True)
        first_round = newcomer.start_gossip(plan)
        told = f"'{name}' has joined run {run_id}, and goes on with round {first_round}"
        console.print(told, markup=False)
        found: dict[str, Any] = {"run_id": run_id, "agent": name, "round": first_round}
        end = _followed(newcomer, plan, first_round, console) if watch else None
    if end is not None:
        found |= {"state": end.state, "last_round": end.round, "error": end.error}
    if as_json:
        print_json(found)
    if end is not None and end.state != "finished":
        raise RemoteError(f"'{name}' did not finish: {end.error or end.state}")


def _followed(client: AgentClient, plan: pb.GossipPlan, first: int, console: Console) -> Ended:
    from tfplus.cli.text.gossip import GossipTable
    from tfplus.fleet.updates import Ended, from_event

    name = client.status().name
    with GossipTable([name], plan.rounds, console) as table:
        for event in client.watch_gossip(plan.run_id, first):
            update = from_event(name, event)
            table.show(update)
            if isinstance(update, Ended):
                return update
    raise RemoteError(f"'{name}' went away: `tfplus jobs watch` shows its run once it is back")
