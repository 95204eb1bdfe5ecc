"""What happens to which agent, and when: by a seed, in rounds of an agent that nobody touches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stop", "gone"]
# Of the run: before it all shall have met, and behind it those who were away shall come to the end.
_FROM, _TO = 0.08, 0.7


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong.

    Attributes:
      round: of the untouched agent, from which on it happens.
      agent: to whom.
      kind: `kill` by SIGKILL, and started again; `stop` by SIGSTOP, and SIGCONT; `gone` by SIGKILL,
        for good.
      away_rounds: rounds of the untouched agent until it comes back.
    """

    round: int
    agent: str
    kind: Kind
    away_rounds: int


def disturbances(agents: Sequence[str], rounds: int, count: int, seed: int) -> list[Disturbance]:
    """Draws what goes wrong in a run; equal seeds draw the same.

    Args:
      agents: whom it may happen to; one of three in a row at most.
      rounds: of the run.
      count: how many; the last is for good.
      seed: of all chance.
    """
    rng = random.Random(seed)  # noqa: S311  a replayable plan, no secret
    gap = (_TO - _FROM) * rounds / count
    made: list[Disturbance] = []
    for i in range(count):
        fresh = [a for a in agents if a not in {d.agent for d in made[-2:]}]
        kind: Kind = "gone" if i == count - 1 else rng.choice(("kill", "stop"))
        at = round(_FROM * rounds + gap * (i + 0.5 * rng.random()))
        away = max(1, round(gap * rng.uniform(0.3, 1.2)))
        made.append(Disturbance(at, rng.choice(fresh), kind, away))
    return made
