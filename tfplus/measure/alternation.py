"""Times several systems in turn: a block of iterations of one, then of the next, and over again.

What disturbs a machine, such as another program or its heat, lasts longer than a block. Systems
whose blocks follow one another see the same machine, so that the ratio of their times within a
block means more than the times. Who comes first changes from block to block.

Example: one function against another, on a clock that the caller gives::

    >>> from tfplus.measure.alternation import Limit, Plan, in_turn, timed
    >>> systems = {"sum": timed(lambda: sum(range(100))), "max": timed(lambda: max(range(100)))}
    >>> found = in_turn(systems, Plan(blocks=3, each=Limit(10), warm_up=Limit(2)))
    >>> [block.is_warm_up for block in found["sum"]]
    [True, False, False, False]
    >>> [len(block.iteration_ms) for block in found["max"]]
    [2, 10, 10, 10]
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tfplus.errors import UsageError
from tfplus.measure.result import Block


@dataclass(frozen=True)
class Limit:
    """Where a block ends; one iteration is always taken.

    Attributes:
      iterations: at most so many.
      seconds: none begins later than this after the block's begin.
    """

    iterations: int
    seconds: float = math.inf


RunBlock = Callable[[Limit], Sequence[float]]
"""Takes one block and returns the time of each iteration, milliseconds."""


class Order(Enum):
    """Who comes first in a block.

    Attributes:
      ROTATED: the next system in each block, so that each has each place equally often.
      SHUFFLED: drawn for each block from a seed, which hides what has the period of a rotation.
    """

    ROTATED = "rotated"
    SHUFFLED = "shuffled"


@dataclass(frozen=True)
class Plan:
    """How long is measured, and in which order.

    Attributes:
      blocks: of each system.
      each: the length of one.
      warm_up: what each system runs before the first block; recorded and labelled.
      settle: what it runs at the beginning of each block, while threads of the system before it
        still wait for work; recorded and labelled likewise.
      order: who comes first.
      seed: of a shuffled order.
    """

    blocks: int
    each: Limit
    warm_up: Limit | None = None
    settle: Limit | None = None
    order: Order = Order.ROTATED
    seed: int = 0

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise UsageError(f"blocks: expected at least 1, got {self.blocks}")


def timed(step: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> RunBlock:
    """What takes blocks of a function.

    Args:
      step: one iteration.
      clock: seconds from any beginning, never going back.
    """

    def run(limit: Limit) -> list[float]:
        times_ms: list[float] = []
        begin = clock()
        while not times_ms or (
            len(times_ms) < limit.iterations and clock() - begin < limit.seconds
        ):
            start = clock()
            step()
            times_ms.append((clock() - start) * 1e3)
        return times_ms

    return run


def in_turn(systems: Mapping[str, RunBlock], plan: Plan) -> dict[str, tuple[Block, ...]]:
    """Takes all blocks of all systems.

    Args:
      systems: name → what takes its blocks.
      plan: how many, how long, in which order.

    Returns:
      Name → its blocks in the order of time. Those of one number belong together; a warm-up before
      the first has number -1.

    Raises:
      UsageError: there is no system.
    """
    if not systems:
        raise UsageError("nothing to measure: expected at least one system")
    found: dict[str, list[Block]] = {name: [] for name in systems}
    for place, (name, run) in enumerate(systems.items()):
        if plan.warm_up:
            found[name].append(_taken(run, plan.warm_up, -1, place, is_warm_up=True))
    for number, names in enumerate(orders(list(systems), plan)):
        for place, name in enumerate(names):
            run = systems[name]
            if plan.settle:
                found[name].append(_taken(run, plan.settle, number, place, is_warm_up=True))
            found[name].append(_taken(run, plan.each, number, place, is_warm_up=False))
    return {name: tuple(blocks) for name, blocks in found.items()}


def orders(names: Sequence[str], plan: Plan) -> list[list[str]]:
    """The order of the systems in each block."""
    if plan.order is Order.ROTATED:
        starts = (number % len(names) for number in range(plan.blocks))
        return [[*names[start:], *names[:start]] for start in starts]
    # Not for secrets: the same seed gives the same order.
    draw = random.Random(plan.seed)  # noqa: S311
    return [draw.sample(list(names), len(names)) for _ in range(plan.blocks)]


def _taken(run: RunBlock, limit: Limit, number: int, place: int, *, is_warm_up: bool) -> Block:
    return Block(number, place, is_warm_up, tuple(run(limit)))
