"""What happens to which agents, and when: by a seed, in rounds of an agent that nobody touches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stop", "gone", "clock", "cut", "loss"]
# Of the run: before it all shall have met, and behind it those who were away shall come to the end.
_FROM, _TO = 0.08, 0.7
# Of the network and of clocks, and how often each happens beside what happens to single agents.
_OTHERS: tuple[Kind, ...] = ("clock", "clock", "cut", "loss")
_CUT_OFF = 3
_OF_ALL: tuple[Kind, ...] = ("cut", "loss")
_LONGER = 2


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong.

    Attributes:
      round: of the untouched agent, from which on it happens.
      agents: to whom; all of them where there are none.
      kind: `kill` by SIGKILL, and started again; `stop` by SIGSTOP, and SIGCONT; `gone` by SIGKILL,
        for good; `clock`: the wall clock is a day off, and stays so; `cut`: nothing crosses between
        these and the others; `loss`: packets between agents are lost.
      away_rounds: rounds of the untouched agent until it is over.
    """

    round: int
    agents: tuple[str, ...]
    kind: Kind
    away_rounds: int


def disturbances(agents: Sequence[str], rounds: int, count: int, seed: int) -> list[Disturbance]:
    """Draws what goes wrong in a run; equal seeds draw the same.

    Args:
      agents: whom it may happen to; one of three in a row at most.
      rounds: of the run.
      count: how many, of kills and stops of single agents; the last is for good. The clocks of two
        agents, a partition and a time of lost packets come on top.
      seed: of all chance.
    """
    rng = random.Random(seed)  # noqa: S311  a replayable plan, no secret
    of_one: tuple[Kind, ...] = ("kill", "stop")
    kinds: list[Kind] = [*of_one, *_OTHERS]
    kinds.extend(rng.choice(of_one) for _ in range(count - 3))
    rng.shuffle(kinds)
    kinds.append("gone")
    gap = (_TO - _FROM) * rounds / len(kinds)
    made: list[Disturbance] = []
    for i, kind in enumerate(kinds):
        at = round(_FROM * rounds + gap * (i + 0.5 * rng.random()))
        away = max(1, round(gap * rng.uniform(0.3, 1.2)))
        if kind in _OF_ALL:
            away *= _LONGER
        lately = {name for earlier in made[-2:] for name in earlier.agents}
        fresh = [name for name in agents if name not in lately]
        if kind == "loss":
            whom: tuple[str, ...] = ()
        else:
            whom = tuple(sorted(rng.sample(fresh, _CUT_OFF if kind == "cut" else 1)))
        made.append(Disturbance(at, whom, kind, away))
    return made
