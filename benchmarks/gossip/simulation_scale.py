"""What `tfplus simulate` costs with ten to ten thousand nodes: processor time, memory, bytes.

usage: python benchmarks/gossip/simulation_scale.py [--nodes 10 100 1000 10000] [--rounds 100]
                                             [--most 100000] [--topologies ring random-regular]
                                             [--write docs/gossip.md] [--json FILE]

Membership and averaging, each scenario in a process of its own, which takes its own processor time.
Where nodes times rounds would be above --most there are fewer rounds, but 10 at least. Bytes are
those of the simulation's messages: equal whenever it runs, and wherever.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.gossip.simulation.run import run  # noqa: E402
from tfplus.gossip.simulation.scenario import Scenario  # noqa: E402
from tfplus.measure import environment  # noqa: E402
from tfplus.report import drawing, svg  # noqa: E402
from tfplus.report.figures import Axis, BarFigure, Multiples  # noqa: E402
from tfplus.report.units import BYTES, SECONDS, Unit  # noqa: E402
from tfplus.system.files import write_atomic  # noqa: E402

_LEAST_ROUNDS = 10
_PICTURE = "simulation-scale.svg"


def measured(nodes: int, rounds: int, topology: str) -> dict[str, Any]:
    """Runs one scenario in this process."""
    scenario = Scenario(nodes=nodes, rounds=rounds, topology=topology, seed=1)
    begun = time.process_time()
    report = run(scenario)
    cpu_s = time.process_time() - begun
    averaging = [sent / rounds for sent in report.node_bytes.values()]
    membership = [sent / report.virtual_s for sent in report.membership_bytes.values()]
    return {
        "topology": topology,
        "nodes": nodes,
        "rounds": rounds,
        "cpu_s": cpu_s,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "virtual_s": report.virtual_s,
        "finished": report.finished,
        "round_bytes": statistics.mean(averaging),
        "most_round_bytes": max(averaging),
        "membership_bytes_a_s": statistics.mean(membership),
        "most_membership_bytes_a_s": max(membership),
        "trace_sha256": report.trace_sha256,
    }


def in_a_process(nodes: int, rounds: int, topology: str) -> dict[str, Any]:
    """The same in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--one", str(nodes), str(rounds), topology]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(ended.stdout)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| topology | nodes | rounds | processor, s | of a node and round, µs | memory, MB "
        "| bytes of a node and round, mean / most "
        "| of membership, of a node and second, mean / most |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        each_us = row["cpu_s"] / row["nodes"] / row["rounds"] * 1e6
        lines.append(
            f"| {row['topology']} | {row['nodes']:,} | {row['rounds']} | {row['cpu_s']:.1f} "
            f"| {each_us:.0f} | {row['peak_bytes'] / 1e6:.0f} "
            f"| {row['round_bytes']:,.0f} / {row['most_round_bytes']:,.0f} "
            f"| {row['membership_bytes_a_s']:.0f} / {row['most_membership_bytes_a_s']:.0f} |"
        )
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]]) -> Multiples:
    """What a node costs, by the number of nodes."""
    panels = [
        panel
        for topology in dict.fromkeys(row["topology"] for row in rows)
        for panel in (
            _panel(rows, topology, "processor time", SECONDS),
            _panel(rows, topology, "sent", BYTES),
        )
    ]
    return Multiples("What a simulated node and round costs, by the number of nodes", panels)


def _panel(rows: list[dict[str, Any]], topology: str, what: str, unit: Unit) -> BarFigure:
    of = [row for row in rows if row["topology"] == topology]
    values = [
        row["cpu_s"] / row["nodes"] / row["rounds"] if unit is SECONDS else row["round_bytes"]
        for row in of
    ]
    names = [f"{row['nodes']:,}" for row in of]
    return BarFigure(f"{topology}: {what}", "nodes", names, values, Axis(what, unit))


def main() -> None:
    """Prints the table, and writes it where that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--most", type=int, default=100_000, help="nodes times rounds")
    parser.add_argument("--topologies", nargs="+", default=["ring", "random-regular"])
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        nodes, rounds, topology = given.one
        print(json.dumps(measured(int(nodes), int(rounds), topology)))
        return
    rows: list[dict[str, Any]] = []
    for topology in given.topologies:
        for nodes in given.nodes:
            rounds = min(given.rounds, max(_LEAST_ROUNDS, given.most // nodes))
            rows.append(in_a_process(nodes, rounds, topology))
            print(f"{topology}, {nodes} nodes: {rows[-1]['cpu_s']:.1f} s", file=sys.stderr)
    about = environment.read()
    text = f"On one core of {about.cpu_model}:\n\n{table(rows)}"
    print(text)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    if given.write:
        drawn = figure(rows)
        picture = given.write.with_suffix("") / _PICTURE
        picture.parent.mkdir(exist_ok=True)
        write_atomic(picture, svg.standalone(drawing.svg(drawn)).encode())
        text += f"\n\n![{drawn.title}]({picture.parent.name}/{_PICTURE})"
        document = insert(given.write.read_text("utf-8"), text, "gossip/simulation_scale")
        given.write.write_text(document, "utf-8")


if __name__ == "__main__":
    main()
