"""`tfplus simulate`: gossip among thousands of nodes on a virtual clock, with faults by a seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import UsageError

app = typer.Typer(add_completion=False)

_FAULTS = "Faults"
_MEMBERS = "Membership"


@app.command()
def simulate(
    scenario: Annotated[
        Path | None,
        typer.Argument(help="TOML file of a scenario; options on the command line count for more."),
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="How many nodes; 10 if not given.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of averaging; 20.")] = None,
    topology: Annotated[
        str | None,
        typer.Option(
            help="ring (default), line, star, mesh, exponential, random-regular, "
            "one-peer-exponential."
        ),
    ] = None,
    degree: Annotated[
        int | None, typer.Option(help="Neighbours a node, of random-regular; 4.")
    ] = None,
    links: Annotated[
        Path | None, typer.Option(help="Links of your own: two names a line, such as n0 n1.")
    ] = None,
    mixing: Annotated[
        str | None, typer.Option(help="metropolis (default), uniform, clipped or trimmed-mean.")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            help="Of contributions, with error feedback: float32 (default), float16, int8, "
            "top-k[:SHARE]."
        ),
    ] = None,
    values: Annotated[
        int | None, typer.Option(help="Length of the vector that they average; 16.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance; 0.")] = None,
    train_s: Annotated[
        float | None, typer.Option(help="Virtual seconds of local training a round; 1.")
    ] = None,
    round_timeout: Annotated[
        float | None, typer.Option(help="Seconds that a node waits for neighbours; 10.")
    ] = None,
    loss: Annotated[
        float | None,
        typer.Option(help="Chance that a message is lost.", rich_help_panel=_FAULTS),
    ] = None,
    stragglers: Annotated[
        float | None, typer.Option(help="Share of slow nodes.", rich_help_panel=_FAULTS)
    ] = None,
    slowdown: Annotated[
        float | None,
        typer.Option(help="How many times as long those train; 5.", rich_help_panel=_FAULTS),
    ] = None,
    churn: Annotated[
        float | None,
        typer.Option(help="Share of nodes that crash once and come back.", rich_help_panel=_FAULTS),
    ] = None,
    away_s: Annotated[
        float | None, typer.Option(help="For how long; 30.", rich_help_panel=_FAULTS)
    ] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM:TO:SHARE",
            help="In that time a share of the nodes is cut off; repeat.",
            rich_help_panel=_FAULTS,
        ),
    ] = None,
    availability: Annotated[
        Path | None,
        typer.Option(
            help="Who is there when: NAME UP DOWN a line, in seconds; nodes are n0, n1, …, with "
            "zeros in front.",
            rich_help_panel=_FAULTS,
        ),
    ] = None,
    membership: Annotated[
        bool | None,
        typer.Option(
            "--membership/--no-membership",
            help="Nodes find out by SWIM who is there (default).",
            rich_help_panel=_MEMBERS,
        ),
    ] = None,
    reform: Annotated[
        bool | None,
        typer.Option(
            "--reform/--no-reform",
            help="Make links anew among those who are there: of ring, line, star and mesh.",
            rich_help_panel=_MEMBERS,
        ),
    ] = None,
    period_s: Annotated[
        float | None, typer.Option(help="Period of SWIM; 1.", rich_help_panel=_MEMBERS)
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write every average and every change of a view: JSON lines."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Simulates gossip among many nodes: no device takes part, and time is virtual.

    Every node runs the averaging core and the membership of the agents, over a network in memory
    that loses and delays messages, with crashes, partitions and slow nodes by a seed. They average
    vectors of chance: it shows how fast nodes agree, what that costs, and how soon they find out
    who is gone; it does not train. Equal scenarios give equal results, to the bit.

    \b
    Examples:
      tfplus simulate --nodes 100 --rounds 50 --topology random-regular
      tfplus simulate --nodes 1000 --rounds 100 --churn 0.1 --loss 0.02 --json > figures.json
      tfplus simulate storm.toml --seed 7 --trace storm.jsonl
    """
    from tfplus.gossip.simulation import scenario_file
    from tfplus.gossip.simulation.run import run
    from tfplus.gossip.simulation.scenario import CUSTOM

    chosen: dict[str, Any] = {} if scenario is None else scenario_file.read_values(scenario)
    given = {
        "nodes": nodes, "rounds": rounds, "topology": topology, "degree": degree, "mixing": mixing,
        "codec": codec, "values": values, "seed": seed, "train_s": train_s,
        "round_timeout_s": round_timeout, "loss": loss, "stragglers": stragglers,
        "slowdown": slowdown, "churn": churn, "away_s": away_s, "membership": membership,
        "reform": reform, "period_s": period_s,
    }  # fmt: skip
    chosen |= {key: value for key, value in given.items() if value is not None}
    if links is not None:
        chosen |= {"links": scenario_file.read_links(links), "topology": CUSTOM}
    if availability is not None:
        chosen["availability"] = scenario_file.read_availability(availability)
    if partition:
        chosen["partitions"] = tuple(_partition(text) for text in partition)
    what = scenario_file.scenario(chosen)
    console = stderr_console()
    began = time.monotonic()
    with ExitStack() as closing:
        tell: Callable[[dict[str, Any]], object] | None = None
        if trace is not None:
            tell = _lines_to(closing.enter_context(trace.open("w", encoding="utf-8")))
        status = closing.enter_context(console.status(f"simulating {what.nodes} nodes"))
        total = what.nodes * what.rounds
        report = run(
            what, tell, lambda done: status.update(f"simulated {done} of {total} averages")
        )
    console.print(
        f"simulated {report.virtual_s:.0f} s in {time.monotonic() - began:.1f} s"
        + (f"; wrote {trace}" if trace is not None else ""),
        markup=False,
    )
    if as_json:
        print_json(report)
    else:
        from tfplus.cli.text.simulation import show

        show(report, stdout_console())


def _lines_to(file: TextIO) -> Callable[[dict[str, Any]], object]:
    return lambda happened: file.write(json.dumps(happened) + "\n")


def _partition(text: str) -> tuple[float, float, float]:
    parts = text.split(":")
    try:
        start, end, share = (float(part) for part in parts)
    except ValueError:
        raise UsageError(
            f"--partition {text[:40]}: expected FROM:TO:SHARE, such as 10:40:0.3"
        ) from None
    return start, end, share
