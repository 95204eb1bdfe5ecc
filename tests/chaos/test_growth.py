"""What counts as growth, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from soak.growth import Limit, growth

JOBS = np.arange(20, 4020, 20)
NOISE = np.random.default_rng(0).normal(0, 50, len(JOBS))


def test_a_steady_slope_is_growth_and_its_size_is_found() -> None:
    found = growth(JOBS, 10_000 + 2.0 * JOBS + NOISE, Limit(1000))
    assert found.per_thousand == pytest.approx(2000, rel=0.02)
    assert found.added == pytest.approx(2.0 * 3000, rel=0.05)
    assert not found.bounded


@pytest.mark.parametrize(
    "values",
    [
        10_000 + NOISE,
        # What fills at first and then stays.
        np.minimum(JOBS, 900) * 10.0 + NOISE,
        # An arena that an allocator takes once.
        10_000 + 5000.0 * (JOBS > 3500) + NOISE,
        20_000 - 2.0 * JOBS,
    ],
)
def test_what_stays_is_bounded(values: np.ndarray) -> None:
    assert growth(JOBS, values, Limit(200)).bounded


def test_the_share_of_a_large_quantity_may_be_added() -> None:
    values = 1e6 + 2.0 * JOBS
    assert growth(JOBS, values, Limit(10, 0.02)).bounded
    assert not growth(JOBS, values, Limit(10, 0.002)).bounded


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 samples"):
        growth([1, 2], [1, 2], Limit(1))
