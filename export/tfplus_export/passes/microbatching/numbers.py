"""On how many microbatches each operator of a step runs."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus_export.passes.ir.step_graph import StepGraph
from tfplus_export.passes.microbatching import sizes as sizes_of
from tfplus_export.passes.microbatching.cut import Cut
from tfplus_export.passes.microbatching.splits import Split, split_of


def splits(graph: StepGraph, batch: int) -> tuple[list[Split | None], dict[int, Cut]]:
    """How each operator splits, and how each tensor is cut where it is."""
    cuts = {t: Cut(0) for t in graph.given if graph.tensors[t].shape[:1] == (batch,)}
    found: list[Split | None] = []
    for operator in graph.operators:
        how = None
        if batch > 1:
            how = split_of(graph, operator, [cuts.get(t) for t in operator.reads], batch)
        if how is not None and how.made is not None:
            cuts[operator.writes[0]] = how.made
        found.append(how)
    return found, cuts


def numbers(
    graph: StepGraph,
    ways: Sequence[Split | None],
    cuts: dict[int, Cut],
    batch: int,
    sizes: sizes_of.Sizes,
) -> list[int]:
    """The number of microbatches of each operator; 1 for the whole batch.

    A number stays the same from operator to operator, forwards and then backwards, where parts do
    not become too small: to cut a tensor again, or to join its parts, is a copy.

    Args:
      graph: the step.
      ways: see `splits`.
      cuts: see `splits`.
      batch: samples in a step.
      sizes: of the microbatches.
    """
    choices = sizes_of.divisors(batch)
    operators = graph.operators
    found = [1] * len(operators)

    def run(place: int, come: int) -> int:
        how = ways[place]
        if how is None:
            return 1
        come = max(come, found[place])
        return sizes_of.count(graph, operators[place], how, come, choices, sizes)

    for _ in range(2):
        made_in: dict[int, int] = {}
        for place, operator in enumerate(operators):
            found[place] = run(place, max((made_in.get(t, 1) for t in operator.reads), default=1))
            how = ways[place]
            if how is not None and how.made is not None:
                made_in[operator.writes[0]] = found[place]
        read_in: dict[int, int] = {}
        for place in reversed(range(len(operators))):
            operator, how = operators[place], ways[place]
            found[place] = run(place, max((read_in.get(t, 1) for t in operator.writes), default=1))
            for t, cut in zip(operator.reads, how.reads if how else (), strict=False):
                if cut is not None and cut == cuts.get(t):
                    read_in[t] = max(read_in.get(t, 1), found[place])
    return found
