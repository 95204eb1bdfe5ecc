"""Branches that trained apart answer on one scale after a fit on samples of all classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

from tfplus.decoupling import calibration
from tfplus.decoupling.recalibration import Correction


def drawn(seed: int, samples: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and classes that are drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (samples, classes))
    odds = special.softmax(logits, axis=1)
    return logits, np.array([rng.choice(classes, p=p) for p in odds])


@pytest.mark.parametrize(("seed", "samples", "classes"), [(0, 60, 3), (1, 300, 10), (2, 4, 5)])
def test_the_fit_is_where_another_minimizer_ends(seed: int, samples: int, classes: int) -> None:
    logits, places = drawn(seed, samples, classes)
    logits = logits * np.linspace(0.3, 3.0, classes) + np.linspace(-8, 8, classes)

    def cost(at: np.ndarray) -> float:
        scale, shift = at[:classes], at[classes:]
        each = special.log_softmax(logits * scale + shift, axis=1)[np.arange(samples), places]
        return float(-each.sum() + ((scale - 1) ** 2).sum() / 2 + (shift**2).sum() / 2)

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    other = optimize.minimize(cost, start, method="BFGS", options={"gtol": 1e-6}).x
    found = calibration.fit(logits, places)
    np.testing.assert_allclose(np.concatenate(found), other, rtol=0, atol=1e-4)


def test_scales_and_offsets_that_branches_drifted_by_are_found() -> None:
    logits, places = drawn(3, 20_000, 4)
    scale, shift = np.array([0.5, 1.0, 2.0, 1.5]), np.array([-3.0, 0.0, 1.0, 2.0])
    found = calibration.fit((logits - shift) / scale, places)
    np.testing.assert_allclose(found.scale, scale, rtol=0.1)
    # A softmax tells offsets apart, not what they have in common.
    np.testing.assert_allclose(found.shift - found.shift.mean(), shift - shift.mean(), atol=0.15)


def test_separable_samples_have_a_finite_fit() -> None:
    found = calibration.fit(np.array([[90.0, -90.0], [-90.0, 90.0]]), np.array([0, 1]))
    assert np.isfinite(np.concatenate(found)).all()


def test_it_goes_into_the_last_kernel_and_bias_of_each_class() -> None:
    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {"shared/conv/kernel": np.ones((2, 2), np.float32)}
    for label in (7, 2):
        weights[f"task/{label}/logits/kernel"] = rng.normal(size=(3, 1)).astype(np.float32)
        weights[f"task/{label}/logits/bias"] = rng.normal(size=1).astype(np.float32)
    plan: Any = SimpleNamespace(classes=(7, 2), classifier="logits")
    found = Correction(np.array([2.0, 0.5]), np.array([1.0, -1.0]))
    changed: dict[str, Any] = calibration.applied(plan, weights, found)
    x = rng.normal(size=(5, 3)).astype(np.float32)
    for label, scale, shift in ((7, 2.0, 1.0), (2, 0.5, -1.0)):
        before, after = (
            x @ w[f"task/{label}/logits/kernel"] + w[f"task/{label}/logits/bias"]
            for w in (weights, changed)
        )
        np.testing.assert_allclose(after, before * scale + shift, rtol=1e-5)
        assert changed[f"task/{label}/logits/kernel"].dtype == np.float32
    assert changed["shared/conv/kernel"] is weights["shared/conv/kernel"]
