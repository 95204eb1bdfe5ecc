"""Statistics over tiles against those of the whole, and their gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tfplus.tiles import reference
from tfplus.errors import UsageError
from tfplus.tiles.grid import Grid, Tiling, every_grouping, fused
from tfplus.tiles.layers import Chain, TiledLayer, Window
from tfplus.tiles.planning import choice
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step import moments


def test_parts_have_the_statistics_of_the_whole() -> None:
    # A mean far above the deviation, where float32 sums of squares would have no digit left.
    x = (np.random.default_rng(0).standard_normal((3, 8, 9, 4)) + 1000).astype(np.float32)
    parts = [moments.sums(x[:, rows]) for rows in (slice(0, 3), slice(3, 4), slice(4, 8))]
    found = moments.of(parts, 3 * 8 * 9)
    assert np.allclose(found.mean, x.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-7)
    assert np.allclose(found.variance, x.astype(np.float64).var(axis=(0, 1, 2)), rtol=1e-5)


def test_the_gradient_is_that_of_small_changes() -> None:
    rng = np.random.default_rng(1)
    x, dy = (rng.standard_normal((2, 4, 5, 3)).astype(np.float32) for _ in range(2))
    count, epsilon = 2 * 4 * 5, 1e-3

    def loss(x: np.ndarray) -> float:
        wide = x.astype(np.float64)
        mean, variance = wide.mean(axis=(0, 1, 2)), wide.var(axis=(0, 1, 2))
        return float((dy * (wide - mean) / np.sqrt(variance + epsilon)).sum())

    tiles = [(slice(None), rows) for rows in (slice(0, 1), slice(1, 4))]
    taken = moments.of([moments.sums(x[tile]) for tile in tiles], count)
    inverse = 1 / np.sqrt(taken.variance + epsilon)
    slopes = [
        moments.encoded(
            -inverse * dy[tile].sum(axis=(0, 1, 2)),
            -0.5 * inverse**3 * (dy[tile] * (x[tile] - taken.mean)).sum(axis=(0, 1, 2)),
        )
        for tile in tiles
    ]
    found = np.concatenate(
        [moments.given_back(dy[t] * inverse, x[t], taken, slopes, count) for t in tiles], axis=1
    )
    for place in [(0, 0, 0, 0), (1, 3, 4, 2), (0, 2, 1, 1)]:
        more, less = x.astype(np.float64), x.astype(np.float64)
        more[place] += 1e-5
        less[place] -= 1e-5
        assert found[place] == pytest.approx((loss(more) - loss(less)) / 2e-5, abs=2e-5)


def test_a_batch_normalization_begins_a_group() -> None:
    first = reference.convolution("a", (16, 16), (2, 3))
    same = Window.of(16, 1, 1, 1, same=False)
    norm = TiledLayer("n", "normalization", same, same, 3, 3, 0, 6)
    chain = Chain("m", (first, norm, reference.convolution("b", (16, 16), (3, 2))))
    assert fused(chain) == ((0, 1), (1, 3))
    with pytest.raises(UsageError, match="layer 'n' takes statistics"):
        _ = Tiling(chain, Grid.even(2, 1), ((0, 3),)).tiles
    found = choice.choose(chain, [Grid.even(2, 1)], Job(2), Cluster())
    groups = {candidate.tiling.groups for candidate in found.considered}
    assert groups <= {g for g in every_grouping(3) if any(start == 1 for start, _ in g)}
