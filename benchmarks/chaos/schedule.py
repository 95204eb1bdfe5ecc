"""Which faults come, and when: a pure function of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KINDS = (
    "worker-killed",
    "worker-stopped",
    "worker-hangs",
    "daemon-killed",
    "daemon-terminated",
    "daemon-stopped",
    "disk-full",
    "client-gone",
    "upload-cut",
    "clock-moved",
    "checkpoint-truncated",
    "checkpoint-flipped",
    "port-taken",
    "link-cut",
)


@dataclass(frozen=True)
class Fault:
    """One fault, in the middle of one job.

    Attributes:
      number: from 1.
      kind: of `KINDS`.
      seed: of the job's training.
      at_step: strikes at the first report of this step, or a later one.
      place: where in a file, or how far into what is sent, in [0, 1).
      hold_s: how long what can be held lasts, in seconds.
      backwards: of a clock: whether the day is one that was.
    """

    number: int
    kind: str
    seed: int
    at_step: int
    place: float
    hold_s: float
    backwards: bool


def schedule(seed: int, count: int, steps: int, kinds: Sequence[str] = KINDS) -> tuple[Fault, ...]:
    """Draws faults; of so many in a row as there are kinds, each kind is one.

    Args:
      seed: equal seeds give equal faults.
      count: how many.
      steps: of each job. Faults strike in the second to fifth tenth, so that the job cannot have
        ended before the fault has come.
      kinds: the kinds to draw from.
    """
    rng = np.random.default_rng([seed, 0xC4A05])
    drawn: list[Fault] = []
    while len(drawn) < count:
        for index in rng.permutation(len(kinds))[: count - len(drawn)]:
            drawn.append(
                Fault(
                    number=len(drawn) + 1,
                    kind=kinds[index],
                    seed=int(rng.integers(1, 2**31)),
                    at_step=int(rng.integers(steps // 5, steps // 2)),
                    place=float(rng.random()),
                    hold_s=float(rng.uniform(0.2, 1.0)),
                    backwards=bool(rng.integers(2)),
                )
            )
    return tuple(drawn)
