"""One neighbour that says anything moves a node no further than honest ones do."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.registry import MIXINGS
from tfplus.tensors.slice_set import SliceSet

NAME = "shared/k"


def said(peer: str, values: np.ndarray, degree: int, weight: float = 1.0) -> RoundContribution:
    return RoundContribution(peer, 1, 1, degree, SliceSet({NAME: values}), {NAME: weight})


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a.astype(np.float64) - b))


@pytest.mark.parametrize(("rule", "liars"), [("clipped", 2), ("trimmed-mean", 1)])
def test_a_liar_moves_a_node_no_further_than_honest_neighbours_do(rule: str, liars: int) -> None:
    rng = np.random.default_rng(0)
    honest = [rng.normal(size=50).astype(np.float32) for _ in range(6)]
    own = said("me", honest[0], 6)
    others = [said(f"p{i}", honest[i], 6) for i in range(1, 6)]
    low, high = np.min(honest, axis=0), np.max(honest, axis=0)
    for lie in (1e30, -1e30, 1e3):
        lies = [said(f"liar{i}", np.full(50, lie, np.float32), 6, 1e6) for i in range(liars)]
        mixed = MIXINGS[rule].mix(own, [*others[: 6 - liars], *lies])[NAME]
        moved = distance(mixed, honest[0])
        farthest = max(distance(h, honest[0]) for h in honest)
        assert moved <= farthest
        if rule == "trimmed-mean":
            assert ((low <= mixed) & (mixed <= high)).all()
        plain = MIXINGS["metropolis"].mix(own, [*others[: 6 - liars], *lies])[NAME]
        assert distance(plain, honest[0]) > farthest


def test_the_trimmed_mean_is_that_of_the_middle_values() -> None:
    values = [np.array([v, -v], np.float32) for v in (1, 2, 4, 8, 100)]
    own, *others = [said(f"p{i}", v, 4) for i, v in enumerate(values)]
    mixed = MIXINGS["trimmed-mean"].mix(own, others)[NAME]
    np.testing.assert_allclose(mixed, [14 / 3, -14 / 3], rtol=1e-6)


def test_clipping_scales_to_the_median_distance() -> None:
    own = said("me", np.zeros(2, np.float32), 3)
    others = [
        said("a", np.array([3, 4], np.float32), 3),
        said("b", np.array([0, 1], np.float32), 3),
        said("c", np.array([60, 80], np.float32), 3),
    ]
    # Distances 5, 1, 100: the radius is 5, and c counts as (3, 4).
    np.testing.assert_allclose(
        MIXINGS["clipped"].mix(own, others)[NAME], np.array([6, 9]) / 4, rtol=1e-6
    )
