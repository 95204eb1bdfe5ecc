"""Blocks in which the machine changed its speed: which they are, and what of them runs anew.

Which block it is depends on its reference alone, never on the cells that are measured, so that
measuring it anew prefers no number to another. What was measured before stays in the journal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tfplus.benchmark.repetition import INTERFERENCE, TIMING
from tfplus.campaign import journal
from tfplus.campaign.planning.plan import Plan
from tfplus.campaign.planning.schedule import BEGIN, END
from tfplus.measure import result_file
from tfplus.measure.result import Repetition

# Why an `again` of the journal is there; without, it is of failures.
WHY = "drift"
_TIMED = (TIMING, INTERFERENCE)
_Block = tuple[str, int]


def drift(ends: Mapping[str, Repetition]) -> float | None:
    """How far a reference moved in a block: end ÷ begin − 1; None where one is missing.

    Args:
      ends: the reference at `begin` and at `end`, as far as they ran.
    """
    first = ends[BEGIN].median_ms if BEGIN in ends else None
    last = ends[END].median_ms if END in ends else None
    return None if first is None or last is None else last / first - 1


def to_run_anew(plan: Plan, events: Sequence[dict[str, Any]]) -> list[str]:
    """Keys of the timed runs of blocks that drifted, in the order in which they ran.

    Args:
      plan: says how far a reference may move, and how often blocks are measured anew.
      events: of the journal.

    Returns:
      Nothing where no block drifted, or all attempts are used up.
    """
    asked = sum(e["event"] == "again" and e.get("why") == WHY for e in events)
    if asked >= plan.drift_retries:
        return []
    done = journal.results(events).values()
    ends: dict[_Block, dict[str, Repetition]] = defaultdict(dict)
    for event in done:
        if event["reference"]:
            block = event["device"], event["block"]
            ends[block][event["reference"]] = result_file.repetition(event["repetition"])
    moved = {block: drift(found) for block, found in ends.items()}
    spoiled = {block for block, d in moved.items() if d is not None and abs(d) > plan.max_drift}
    return [
        event["key"]
        for event in done
        if (event["device"], event["block"]) in spoiled and event["kind"] in _TIMED
    ]


def times_anew(events: Sequence[dict[str, Any]]) -> Mapping[_Block, int]:
    """(device, block) → how often it was measured anew because it drifted."""
    found: Counter[_Block] = Counter()
    block_of: dict[str, _Block] = {}
    for event in events:
        if event["event"] == "done":
            block_of[event["key"]] = event["device"], event["block"]
        elif event["event"] == "again" and event.get("why") == WHY:
            found.update({block_of[key] for key in event["keys"]})
    return dict(found)
