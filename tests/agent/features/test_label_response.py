"""Labels by randomised response: how often they leave as they are, and what epsilon that is."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus_agent.features.label_response import respond, truth_probability


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("labels", [(0, 1), (3, 5, 9, 40)])
def test_no_answer_is_likelier_by_more_than_epsilon(
    epsilon: float, labels: tuple[int, ...]
) -> None:
    n = 40_000
    seen = {
        label: Counter(respond([label] * n, labels, epsilon, np.random.default_rng(label)))
        for label in labels
    }
    truth = truth_probability(epsilon, len(labels))
    other = (1 - truth) / (len(labels) - 1)
    assert truth / other == pytest.approx(math.exp(epsilon))
    for label, counts in seen.items():
        for answer in labels:
            expected = truth if answer == label else other
            assert counts[answer] / n == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(n))


def test_an_epsilon_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--label-epsilon 0"):
        respond([1], (1, 2), 0.0, np.random.default_rng(0))
    assert respond([7, 7], (7,), 0.1, np.random.default_rng(0)) == [7, 7]
