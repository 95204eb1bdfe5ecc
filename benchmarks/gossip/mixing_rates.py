"""How near Metropolis weights come to the fastest weights that a graph allows.

usage: python benchmarks/gossip/mixing_rates.py [--nodes 8 16 32]
           [--topologies ring exponential ...] [--write docs/gossip.md]

The fastest symmetric weights, also negative ones, are found by `mixingmatrix` (in the extra `dev`)
as Xiao and Boyd (2004) pose the problem; it says by how much it may be off, and where that is more
than 1e-4 the row is left out. Nothing here depends on the machine.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import mixingmatrix
import networkx as nx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.gossip.membership import registry  # noqa: E402
from tfplus.gossip.mixing.matrices import consensus_rate, metropolis_matrix  # noqa: E402

_SHARE = 1e-3
_SURE = 1e-4
_AT_ONCE = 1e-9
_LIMIT_S = 60.0


def row(topology: str, count: int) -> str | None:
    """One line of the table; None where the fastest weights are not known well enough."""
    graph = registry.graph(topology, [f"n{i:03}" for i in range(count)])
    theirs = nx.Graph()
    theirs.add_nodes_from(graph)
    theirs.add_edges_from((a, b) for a, near in graph.items() for b in near)
    fastest = mixingmatrix.solve(theirs, allow_negative=True, tol=1e-8, time_limit=_LIMIT_S)
    if fastest.certified_gap is None or fastest.certified_gap > _SURE:
        return None
    rates = (consensus_rate(metropolis_matrix(graph)), fastest.slem)
    ours, best = (_rounds(rate) for rate in rates)
    return (
        f"| {topology} | {count} | {rates[0]:.4f} | {rates[1]:.4f} | {ours} | {best} "
        f"| {ours / best:.2f} |"
    )


def _rounds(rate: float) -> int:
    return 1 if rate < _AT_ONCE else math.ceil(math.log(_SHARE) / math.log(rate))


def main() -> None:
    """Prints the table, and writes it where that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    topologies = ["ring", "line", "star", "exponential", "random-regular", "mesh"]
    parser.add_argument("--nodes", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--topologies", nargs="+", default=topologies)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    given = parser.parse_args()
    lines = [
        "| topology | nodes | Metropolis, a round | fastest, a round "
        "| Metropolis, rounds to 1/1000 | fastest, rounds | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for topology in given.topologies:
        lines += [line for count in given.nodes if (line := row(topology, count))]
    text = "\n".join(lines)
    print(text)
    if given.write:
        given.write.write_text(
            insert(given.write.read_text("utf-8"), text, "gossip/mixing_rates"), "utf-8"
        )


if __name__ == "__main__":
    main()
