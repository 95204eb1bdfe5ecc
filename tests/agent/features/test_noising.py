"""Clipping and noise on features, and the privacy that they give."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus_agent.features import noising


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
    # Balle and Wang's condition with a deviation of a quarter of the sensitivity.
    assert "noise 0.5: epsilon 24.4 at delta 1e-05" in change.note


def test_without_the_accountant_noise_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    change = noising.of(1.0, 0.5, np.random.default_rng(0))
    assert "noise 0.5: no epsilon without tfplus[privacy]" in change.note


def test_noise_without_clipping_is_refused() -> None:
    with pytest.raises(UsageError, match="--clip"):
        noising.of(None, 1.0, np.random.default_rng(0))
    with pytest.raises(UsageError, match="more than 0"):
        noising.of(0.0, None, np.random.default_rng(0))
