"""How far an update may be off, against the update and against rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus_export.parity.errors.step_error import layer_rounding, update_error

# Keras' own code, with a numpy newer than it knows.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def test_update_errors_are_relative_to_the_update() -> None:
    before = np.zeros(4, np.float32)
    want = np.array([3.0, 0.0, 4.0, 0.0], np.float32)
    got = want + np.array([0.0, 0.05, 0.0, 0.0], np.float32)
    assert update_error(before, want, got) == pytest.approx(0.01, rel=1e-3)
    assert update_error(want, want, want) == 0
    assert update_error(before, want, want + np.float32(1e-8)) == 0
    assert not update_error(before, want, np.full(4, np.nan, np.float32)) <= 1e-3


def test_what_rounds_to_nothing_beside_its_layer_counts_as_no_error() -> None:
    before = {n: np.zeros(4, np.float32) for n in ("shared/a/kernel", "shared/a/bias")}
    after = {"shared/a/kernel": np.full(4, 2.0), "shared/a/bias": np.full(4, 1e-7)}
    rounding = layer_rounding(before, after, ["shared/a/kernel", "shared/a/bias"])
    assert rounding["shared/a/bias"] == pytest.approx(2 * 32 * 2**-23)
    bias = before["shared/a/bias"], after["shared/a/bias"]
    assert update_error(*bias, -after["shared/a/bias"], rounding["shared/a/bias"]) == 0
    assert update_error(*bias, np.full(4, 1e-4), rounding["shared/a/bias"]) > 100
    assert layer_rounding(before, after, [])["shared/a/bias"] == 0


def test_what_an_optimizer_keeps_rounds_on_a_scale_of_its_own() -> None:
    names = ("shared/a/kernel", "optimizer/square/shared/a/kernel", "optimizer/mean/shared/a/bias")
    before = {n: np.zeros(4, np.float32) for n in names}
    after = dict(zip(names, (np.full(4, 2.0), np.full(4, 1e-3), np.full(4, 0.5)), strict=True))
    rounding = layer_rounding(before, after, ["shared/a/kernel"])
    assert list(rounding.values()) == pytest.approx([u * 32 * 2**-23 for u in (2, 1e-3, 0.5)])


def test_a_mean_that_is_zero_by_nature_may_be_off_by_the_rounding_of_what_is_averaged() -> None:
    mean, variance = "shared/norm/moving_mean", "shared/norm/moving_variance"
    before = {mean: np.zeros(4), variance: np.ones(4)}
    # A batch of deviation 0.1, averaged in with a share of 0.01.
    after = {mean: np.full(4, 1e-9), variance: np.full(4, 0.99 + 0.01 * 0.01)}
    rounding = layer_rounding(before, after, [])[mean]
    assert 32 * 2**-23 * 0.01 * 0.1 < rounding < 32 * 2**-23 * 0.011
    assert update_error(before[mean], after[mean], -after[mean], rounding) == 0
    # A mean that is not zero may not be off by a hundredth of itself.
    wanted = np.full(4, 0.01 * 0.01)
    assert update_error(before[mean], wanted, wanted * 1.01, rounding) > 5e-3
