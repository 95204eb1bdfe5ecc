"""The plan of what goes wrong: by a seed alone, and never of one that nobody shall touch."""

from __future__ import annotations

import pytest
from churn.events import disturbances

AGENTS = tuple(f"n{i}" for i in range(1, 8))


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_drawn_by_its_seed(seed: int) -> None:
    plan = disturbances(AGENTS, 120, 10, seed)
    assert plan == disturbances(AGENTS, 120, 10, seed)
    assert len(plan) == 10
    assert [one.kind for one in plan].index("gone") == 9
    rounds = [one.round for one in plan]
    assert rounds == sorted(rounds)
    assert rounds[0] > 0
    assert rounds[-1] < 0.75 * 120
    for i, one in enumerate(plan):
        assert one.agent in AGENTS
        assert one.agent not in {other.agent for other in plan[max(0, i - 2) : i]}
        assert one.away_rounds >= 1


def test_seeds_draw_plans_of_their_own() -> None:
    assert len({tuple(disturbances(AGENTS, 120, 10, seed)) for seed in range(20)}) == 20
