"""How specific filters are, and each class's path, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.decoupling.functionality import above_mean, critical_path, specificity
from tfplus.decoupling.plan import DecoupledLayer


def test_a_filter_of_all_classes_is_0_and_of_one_class_1() -> None:
    preference = np.array([[2.0, 5.0, 1.0, 0.0, -1.0], [2.0, 0.0, 1.0, 0.0, 3.0]])
    preference = np.vstack([preference, preference[1:], [2.0, 0.0, 0.0, 0.0, 0.0]])
    found = specificity(preference)
    np.testing.assert_allclose(found[:2], [0, 1], atol=1e-12)
    # Three of four classes alike; a filter that nothing moves; two of four, one of them below zero.
    assert found[2] == pytest.approx(1 - np.log(3) / np.log(4))
    assert np.isnan(found[3])
    assert found[4] == pytest.approx(1 - np.log(2) / np.log(4))


def test_a_filter_is_scaled_by_its_own_largest_distance() -> None:
    found = above_mean(np.array([[1.0, 7.0], [3.0, 7.0], [2.0, 7.0]]))
    np.testing.assert_allclose(found, [[-1, 0], [1, 0], [0, 0]])


def test_a_path_has_the_filter_of_each_layer_that_a_class_moves_most() -> None:
    first = np.array([[0.0, 4.0, 9.0], [0.0, 1.0, 9.0]], np.float32)
    second = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    layers = (
        DecoupledLayer("conv2", first, np.array([[2], [1]], np.int32)),
        DecoupledLayer("conv3", second, np.array([[0], [1]], np.int32)),
    )
    stations = critical_path(layers, 0)
    # Filter 2 is as strong for both: it tells nothing.
    assert [(s.layer, s.filter, s.above, s.is_own) for s in stations] == [
        ("conv2", 1, 1.5, False),
        ("conv3", 0, 0.5, True),
    ]
