"""Two rounds in which all nodes come to the mean, each averaging a part of the slices for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfplus.gossip.links import Links, Schedule
from tfplus.gossip.membership.topology import check_names


def owners(names: Sequence[str], sizes_bytes: Mapping[str, int]) -> dict[str, frozenset[str]]:
    """Node → the slices that it averages: the largest first, each to who has least so far.

    Args:
      names: the nodes; of two with as much the one that comes first here gets the next slice.
      sizes_bytes: name → size of each slice.
    """
    parts: dict[str, set[str]] = {name: set() for name in names}
    loads = dict.fromkeys(names, 0)
    for slice_name in sorted(sizes_bytes, key=lambda s: (-sizes_bytes[s], s)):
        owner = min(names, key=loads.__getitem__)
        parts[owner].add(slice_name)
        loads[owner] += sizes_bytes[slice_name]
    return {name: frozenset(part) for name, part in parts.items()}


def by_parts(names: Sequence[str], sizes_bytes: Mapping[str, int]) -> Mapping[str, Schedule]:
    """Every slice has an owner, which averages it for all.

    In the first of two rounds a node sends each other one the slices that that one owns, in the
    second all others those that it owns, averaged; who gets them takes them over. Where slices
    spread evenly over n nodes, a node sends 2 (n - 1) / n of its bytes in the two, and less is not
    possible; in a mesh it sends n - 1 times as much. It is the reduce-scatter and all-gather of
    message passing.

    What the owner averaged holds for all, so nodes that heard of different contributions agree all
    the same; one that heard nobody brings its own. A slice whose owner is gone stays as each node
    has it, until the links are made anew among the others. Between the two rounds of a pair nobody
    trains, and all nodes hold the same slices.

    Source: Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations",
    Journal of Parallel and Distributed Computing 2009.

    Args:
      names: the nodes.
      sizes_bytes: name → size of each slice.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    parts = owners(names, sizes_bytes)
    return {name: _pair(name, parts) for name in names}


def _pair(own: str, parts: Mapping[str, frozenset[str]]) -> Schedule:
    others = tuple(name for name in parts if name != own)
    busy = tuple(name for name in others if parts[name])
    mine = dict.fromkeys(others if parts[own] else (), parts[own])
    theirs = {name: parts[name] for name in busy}
    return (
        Links(busy, tuple(mine), brings=theirs, takes=mine),
        Links(tuple(mine), busy, brings=mine, takes=theirs, adopts=True),
    )
