"""Holds a journal against its plan: has every run one result, and none two?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfplus.campaign.planning import schedule
from tfplus.campaign.planning.plan import Plan


@dataclass(frozen=True)
class Account:
    """What a journal proves.

    Attributes:
      planned: runs of the plan, those of references included.
      once: how many of them have exactly one result.
      twice: keys of those with more; a failure that was asked for again is not counted.
      missing: keys of those without.
      unknown: keys of results that the plan does not have.
      starts: how often the campaign was started.
      cut_off: beginnings without a result: a stop, a kill or a lost device came between.
      ran_by: device → its runs with a result.
    """

    planned: int
    once: int
    twice: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    starts: int
    cut_off: int
    ran_by: Mapping[str, int]

    @property
    def is_complete(self) -> bool:
        """Whether no run is missing, none has two results, and none is of another plan."""
        return self.once == self.planned and not self.unknown

    def __str__(self) -> str:
        parts = [
            f"{self.once} of {self.planned} runs have exactly one result",
            f"{len(self.twice)} have more",
            f"{len(self.missing)} have none",
        ]
        parts += [f"{len(self.unknown)} are of no such plan"] if self.unknown else []
        starts = f"{self.starts} start{'' if self.starts == 1 else 's'}"
        return f"{', '.join(parts)}; {starts}, {self.cut_off} runs cut off in between"


def of(plan: Plan, events: Sequence[Mapping[str, Any]]) -> Account:
    """Counts what a journal holds.

    Args:
      plan: that it belongs to.
      events: of the journal, in order.
    """
    results: Counter[str] = Counter()
    begun = ended = 0
    for event in events:
        if event["event"] == "begin":
            begun += 1
        elif event["event"] == "done":
            ended += 1
            results[event["key"]] += 1
        elif event["event"] == "again":
            for key in event["keys"]:
                results.pop(key, None)
    wanted = {run.key: name for name in plan.devices for run in schedule.runs(plan, name)}
    return Account(
        planned=len(wanted),
        once=sum(results[key] == 1 for key in wanted),
        twice=tuple(key for key, count in results.items() if count > 1),
        missing=tuple(key for key in wanted if key not in results),
        unknown=tuple(key for key in results if key not in wanted),
        starts=sum(event["event"] == "start" for event in events),
        cut_off=begun - ended,
        ran_by=dict(Counter(wanted[key] for key in results if key in wanted)),
    )
