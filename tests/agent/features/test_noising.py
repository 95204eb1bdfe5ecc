"""Clipping and noise on features, and the privacy that they give."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus_agent.features import noising
from tfplus_agent.features.noising import epsilon


def test_a_sample_is_clipped_to_its_norm() -> None:
    rows = np.array([[[3.0, 4.0]], [[0.3, 0.4]], [[0.0, 0.0]]], np.float32)
    change = noising.of(1.0, None, np.random.default_rng(0))
    np.testing.assert_allclose(
        change.apply(rows), [[[0.6, 0.8]], [[0.3, 0.4]], [[0.0, 0.0]]], rtol=1e-6
    )
    assert change.note == "clipped to 1"
    assert noising.of(None, None, np.random.default_rng(0)).apply(rows) is rows


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    change = noising.of(2.0, 0.5, np.random.default_rng(0))
    made = change.apply(np.zeros((400, 100), np.float32))
    assert made.std() == pytest.approx(1.0, rel=0.02)
    assert abs(made.mean()) < 0.02
    assert "epsilon" in change.note


@pytest.mark.parametrize("multiplier", [0.3, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_epsilon_is_the_privacy_of_two_gaussians(multiplier: float, delta: float) -> None:
    """Delta is the integral of max(0, p - exp(eps) q) for normals 1 apart, here numerically."""
    eps = epsilon(multiplier, delta)
    x = np.linspace(-60 * multiplier, 60 * multiplier, 2_000_001) + 0.5

    def density(mean: float) -> np.ndarray:
        scale = multiplier * math.sqrt(2 * math.pi)
        return np.exp(-0.5 * ((x - mean) / multiplier) ** 2) / scale

    lost = np.maximum(0.0, density(1.0) - math.exp(eps) * density(0.0))
    assert float(lost.sum() * (x[1] - x[0])) == pytest.approx(delta, rel=1e-3)


def test_noise_without_clipping_is_refused() -> None:
    with pytest.raises(UsageError, match="--clip"):
        noising.of(None, 1.0, np.random.default_rng(0))
    with pytest.raises(UsageError, match="more than 0"):
        noising.of(0.0, None, np.random.default_rng(0))
