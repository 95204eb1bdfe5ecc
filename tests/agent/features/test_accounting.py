"""Epsilons against delta by its definition, integrated numerically."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from tfplus.errors import MissingExtraError
from tfplus.features.sendings import Sending
from tfplus_agent.features.accounting import of_everything, of_features


def delta_of(epsilon: float, multiplier: float, labels: Sequence[tuple[float, int]]) -> float:
    """The integral of max(0, p - exp(epsilon) q), for normals 1 apart and labels that differ."""
    x = np.linspace(-60 * multiplier, 60 * multiplier, 400_001) + 0.5
    scale = multiplier * math.sqrt(2 * math.pi)
    p, q = (np.exp(-0.5 * ((x - mean) / multiplier) ** 2) / scale for mean in (1.0, 0.0))
    outcomes = [(1.0, 1.0, 1)]
    for label_epsilon, number in labels:
        true = 1 / (1 + (number - 1) * math.exp(-label_epsilon))
        other = (1 - true) / (number - 1)
        # The first label, the second, any other: probability under both, and how many there are.
        each = [(true, other, 1), (other, true, 1), (other, other, number - 2)]
        outcomes = [(a * c, b * d, m * n) for a, b, m in outcomes for c, d, n in each if n]
    lost = sum(
        n * float(np.maximum(0.0, a * p - math.exp(epsilon) * b * q).sum()) for a, b, n in outcomes
    )
    return lost * float(x[1] - x[0])


@pytest.mark.parametrize("multiplier", [0.3, 0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8])
def test_epsilon_is_the_privacy_of_two_gaussians(multiplier: float, delta: float) -> None:
    epsilon = of_features([Sending(multiplier)], delta)
    assert delta_of(epsilon, multiplier, []) == pytest.approx(delta, rel=1e-3)


def test_sendings_add_up() -> None:
    # n sendings are one whose deviation is √n times smaller; of different ones precisions add up.
    four = of_features([Sending(2.0)] * 4)
    assert four == pytest.approx(of_features([Sending(1.0)]))
    assert delta_of(four, 1.0, []) == pytest.approx(1e-5, rel=1e-3)
    mixed = of_features([Sending(5.0), Sending(1.25), Sending(5.0, 0.1, 3)])
    assert delta_of(mixed, 1 / math.sqrt(2 / 25 + 1 / 1.5625), []) == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize("labels", [[(0.7, 2)], [(2.0, 10)], [(0.5, 3), (0.5, 3), (1.0, 3)]])
def test_labels_come_on_top(labels: list[tuple[float, int]]) -> None:
    sendings = [Sending(1.0 * math.sqrt(len(labels)), *each) for each in labels]
    epsilon = of_everything(sendings)
    # Rounded up, and not by much.
    assert delta_of(epsilon, 1.0, labels) <= 1e-5
    assert delta_of(epsilon - 0.02, 1.0, labels) > 1e-5
    assert of_features(sendings) < epsilon < of_features(sendings) + sum(e for e, _ in labels)


def test_a_model_of_one_label_tells_nothing_by_it() -> None:
    one = Sending(1.0, 0.1, 1)
    assert of_everything([one]) == pytest.approx(of_features([one]), abs=1e-3)


def test_little_noise_takes_no_more_time_or_memory() -> None:
    sending = Sending(0.01, 1.0, 10)
    assert of_features([sending]) < of_everything([sending]) < of_features([sending]) + 2


def test_what_is_sent_as_it_is_has_no_bound() -> None:
    assert math.isinf(of_features([Sending(1.0), Sending()]))
    assert math.isinf(of_everything([Sending(1.0, 0.0, 3)]))
    assert math.isinf(of_everything([Sending(1.0, 1.0, 3), Sending(1.0, 0.0, 3)]))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(MissingExtraError, match=r"tfplus\[privacy\]"):
        of_features([Sending(1.0)])
