"""The order of a campaign: a block for each repetition, all cells in it, drawn from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.campaign.plan import Cell, Plan
from tfplus.measure import alternation
from tfplus.measure.alternation import Limit, Order

BEGIN, END = "begin", "end"


@dataclass(frozen=True)
class Run:
    """One process.

    Attributes:
      cell: what it runs.
      block: its number, which is that of the repetition.
      place: in the block, from 0.
      reference: `begin` or `end` for the reference at an end of the block; else empty.
    """

    cell: Cell
    block: int
    place: int
    reference: str = ""


def runs(plan: Plan, cells: Sequence[Cell]) -> list[Run]:
    """All runs in their order.

    Args:
      plan: says how many blocks and the seed.
      cells: that can run, each once in every block.
    """
    # Names stand for the cells, since the order is drawn of names.
    named = {str(index): cell for index, cell in enumerate(cells)}
    order = alternation.Plan(plan.repetitions, Limit(1), order=Order.SHUFFLED, seed=plan.seed)
    found: list[Run] = []
    for block, names in enumerate(alternation.orders(list(named), order)):
        inner = [Run(named[name], block, place) for place, name in enumerate(names, 1)]
        found.append(Run(plan.reference, block, 0, BEGIN))
        found += inner
        found.append(Run(plan.reference, block, len(inner) + 1, END))
    return found
