"""Filters of classes: properties over random preferences, and the shares that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.decoupling.assignment import assign, share_of
from tfplus.errors import UsageError


@st.composite
def preferences(draw: st.DrawFn) -> np.ndarray:
    """[classes, filters], with equal values among them."""
    classes, filters = draw(st.integers(1, 6)), draw(st.integers(6, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(-3, 4, (classes, filters)).astype(np.float32)


@given(preferences(), st.data())
def test_each_class_gets_its_share_and_no_filter_goes_to_two(
    preference: np.ndarray, data: st.DataObject
) -> None:
    classes, filters = preference.shape
    count = data.draw(st.integers(1, filters // classes))
    chosen = assign(preference, count, overlap=False)
    assert chosen.shape == (classes, count)
    assert chosen.dtype == np.int32
    assert len(set(chosen.ravel().tolist())) == classes * count
    assert (np.diff(chosen, axis=1) > 0).all()
    assert chosen.min() >= 0
    assert chosen.max() < filters


@given(preferences(), st.data())
def test_no_class_would_rather_have_a_filter_that_is_left_over(
    preference: np.ndarray, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, preference.shape[1] // len(preference)))
    chosen = assign(preference, count, overlap=False)
    above = preference - preference.astype(np.float64).mean(axis=0)
    free = sorted(set(range(preference.shape[1])) - set(chosen.ravel().tolist()))
    for row, own in zip(above, chosen, strict=True):
        assert not free or row[free].max() <= row[own].min()


@given(preferences(), st.data())
def test_with_overlap_each_class_has_those_it_prefers_most(
    preference: np.ndarray, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, preference.shape[1]))
    chosen = assign(preference, count, overlap=True)
    above = preference - preference.astype(np.float64).mean(axis=0)
    for row, own in zip(above, chosen, strict=True):
        assert len(set(own.tolist())) == count
        others = np.delete(row, own)
        assert not len(others) or others.max() <= row[own].min()


def test_a_filter_goes_to_the_class_that_it_tells_from_the_others() -> None:
    # The first filter is strong for both classes and so tells nothing; the others tell one each.
    preference = np.array([[9.0, 1.0, 0.0, 0.2], [9.0, 0.0, 1.0, 0.1]])
    assert assign(preference, 1, overlap=False).tolist() == [[1], [2]]
    assert assign(preference, 2, overlap=True).tolist() == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    ("filters", "classes", "share", "count"),
    [(512, 10, 0.1, 51), (512, 100, 0.01, 5), (100, 3, 0.29, 29), (30, 10, 0.1, 3), (64, 1, 1, 64)],
)
def test_a_share_is_rounded_down(filters: int, classes: int, share: float, count: int) -> None:
    assert share_of("conv", filters, classes, share, overlap=False) == count


def test_a_share_that_cannot_be_says_which_can() -> None:
    with pytest.raises(UsageError, match=r"no filter of layer 'conv', which has 8: .* 0\.125"):
        share_of("conv", 8, 10, 0.1, overlap=True)
    with pytest.raises(
        UsageError, match=r"want 12 of layer 'conv', which has 8: .* 0\.25, or --ov"
    ):
        share_of("conv", 8, 3, 0.5, overlap=False)
    assert share_of("conv", 8, 3, 0.5, overlap=True) == 4
    for share in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="expected more than 0 and at most 1"):
            share_of("conv", 8, 3, share, overlap=True)
    with pytest.raises(UsageError, match="no more than the 6"):
        assign(np.zeros((3, 6)), 3, overlap=False)
