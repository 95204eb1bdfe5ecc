"""The plan of what goes wrong: by a seed alone, and never of one that nobody shall touch."""

from __future__ import annotations

import pytest
from churn.events import disturbances

AGENTS = tuple(f"n{i}" for i in range(1, 8))


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_drawn_by_its_seed(seed: int) -> None:
    plan = disturbances(AGENTS, 120, 10, seed)
    assert plan == disturbances(AGENTS, 120, 10, seed)
    assert len(plan) == 14
    kinds = [one.kind for one in plan]
    assert kinds.index("gone") == 13
    assert sorted(k for k in kinds if k not in ("kill", "stop")) == [
        *("clock", "clock", "cut", "gone", "loss"),
    ]
    assert {"kill", "stop"} <= set(kinds)
    rounds = [one.round for one in plan]
    assert rounds == sorted(rounds)
    assert rounds[0] > 0
    assert rounds[-1] < 0.75 * 120
    for i, one in enumerate(plan):
        assert len(one.agents) == {"cut": 3, "loss": 0}.get(one.kind, 1)
        assert set(one.agents) <= set(AGENTS)
        lately = {name for other in plan[max(0, i - 2) : i] for name in other.agents}
        assert not lately.intersection(one.agents)
        assert one.away_rounds >= 1


def test_seeds_draw_plans_of_their_own() -> None:
    assert len({tuple(disturbances(AGENTS, 120, 10, seed)) for seed in range(20)}) == 20
