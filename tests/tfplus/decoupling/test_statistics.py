"""Sums over batches against NumPy on everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.decoupling.recalibration import correction
from tfplus.decoupling.statistics import ClassMeans, Moments
from tfplus.errors import DataError


@pytest.fixture
def activations() -> np.ndarray:
    """[samples, height, width, filters], with a mean far above the deviation."""
    rng = np.random.default_rng(0)
    return (1000 + rng.normal(size=(50, 3, 4, 5)) * [0.01, 1, 2, 3, 0]).astype(np.float32)


def test_class_means_are_those_of_all_samples(activations: np.ndarray) -> None:
    places = np.random.default_rng(1).integers(0, 3, len(activations))
    sums = ClassMeans("conv", 3, 5)
    for rows in np.array_split(np.arange(50), [7, 30]):
        sums.add(activations[rows], places[rows])
    for place in range(3):
        expected = activations[places == place].astype(np.float64).mean(axis=(0, 1, 2))
        np.testing.assert_allclose(sums.means()[place], expected, rtol=1e-12)


def test_moments_lose_no_digits_to_a_large_mean(activations: np.ndarray) -> None:
    found = Moments("conv", 5)
    for piece in np.array_split(activations, [1, 20]):
        found.add(piece)
    exact = activations.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(found.deviation, exact.std(axis=(0, 1, 2)), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_the_layers_name(bad: float) -> None:
    values = np.zeros((2, 3), np.float32)
    values[1, 2] = bad
    with pytest.raises(DataError, match="layer 'conv9': its activations hold NaN"):
        ClassMeans("conv9", 2, 3).add(values, np.array([0, 1]))
    with pytest.raises(DataError, match="layer 'conv9'"):
        Moments("conv9", 3).add(values)


def test_a_correction_gives_mean_and_deviation_back() -> None:
    rng = np.random.default_rng(0)
    was, now = rng.normal(3, 2, (1000, 2)), rng.normal(-1, 0.5, (1000, 2))
    found = correction(now.mean(0), now.std(0), was.mean(0), was.std(0))
    corrected = now * found.scale + found.shift
    np.testing.assert_allclose(corrected.mean(0), was.mean(0), rtol=1e-12)
    np.testing.assert_allclose(corrected.std(0), was.std(0), rtol=1e-12)


def test_a_constant_filter_keeps_its_scale() -> None:
    one, none, two = np.array([1.0]), np.array([0.0]), np.array([2.0])
    assert correction(one, none, two, one) == (1.0, 1.0)
    assert correction(one, one, two, none) == (1.0, 1.0)
