"""The order of a campaign: a block for each repetition, all cells in it, drawn from the seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tfplus.benchmark.repetition import INTERFERENCE, TIMING
from tfplus.campaign.planning.plan import Cell, Plan
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
      kind: of the pass.
    """

    cell: Cell
    block: int
    place: int
    reference: str = ""
    kind: str = TIMING

    @property
    def key(self) -> str:
        """Names it in the journal."""
        kind = self.reference or ("cell" if self.kind in (TIMING, INTERFERENCE) else self.kind)
        return f"{self.block}/{kind}/{self.cell}"


def runs(plan: Plan, device: str) -> list[Run]:
    """All runs of a device in their order.

    Passes that are no part of the times, energy and operations, come behind a block's end: their
    own work would heat the device between its references.

    Args:
      plan: says which cells, how many blocks and the seed.
      device: name of it.
    """
    cells = [cell for cell in plan.cells if cell.device == device]
    timed = [(c, k) for c in cells for k in plan.kinds(c) if k in (TIMING, INTERFERENCE)]
    others = [(c, k) for c in cells for k in plan.kinds(c) if k not in (TIMING, INTERFERENCE)]
    reference = reference_on(plan, device)
    # Names stand for the cells, since the order is drawn of names.
    order = alternation.Plan(plan.repetitions, Limit(1), order=Order.SHUFFLED, seed=plan.seed)
    # A campaign of energy or operations alone has no times, and its blocks only the references.
    first = alternation.orders(list(map(str, range(len(timed)))), order)
    second = alternation.orders(list(map(str, range(len(others)))), order)
    found: list[Run] = []
    for block in range(plan.repetitions):
        found.append(Run(reference, block, 0, BEGIN))
        for place, name in enumerate(first[block], 1):
            cell, kind = timed[int(name)]
            found.append(Run(cell, block, place, kind=kind))
        found.append(Run(reference, block, len(timed) + 1, END))
        for place, name in enumerate(second[block], len(timed) + 2):
            cell, kind = others[int(name)]
            found.append(Run(cell, block, place, kind=kind))
    return found


def reference_on(plan: Plan, device: str) -> Cell:
    """The reference cell of a device."""
    return dataclasses.replace(plan.reference, device=device)
