"""Labels by randomised response: a label leaves as another now and then, so that none is certain.

With k labels and epsilon, a label leaves as it is with probability e^epsilon / (e^epsilon + k - 1),
else as one of the others, all alike: local differential privacy of epsilon for each label.

Source:
  Kairouz, Bonawitz and Ramage, Discrete Distribution Estimation under Local Privacy, ICML 2016
  (k-ary randomised response); Warner, JASA 1965, for two labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfplus.errors import UsageError


def truth_probability(epsilon: float, labels: int) -> float:
    """With which a label leaves as it is.

    Args:
      epsilon: above 0.
      labels: how many there are.
    """
    return 1.0 / (1.0 + (labels - 1) * math.exp(-epsilon))


def respond(
    given: Sequence[int], labels: Sequence[int], epsilon: float, rng: np.random.Generator
) -> list[int]:
    """Labels as they leave.

    Args:
      given: by the user.
      labels: that there are.
      epsilon: of each.
      rng: draws.

    Raises:
      UsageError: epsilon is not above 0.
    """
    if not epsilon > 0:
        raise UsageError(f"--label-epsilon {epsilon:g}: expected more than 0")
    truth = truth_probability(epsilon, len(labels))
    found: list[int] = []
    for label in given:
        others = [other for other in labels if other != label]
        is_true = not others or rng.random() < truth
        found.append(label if is_true else others[int(rng.integers(len(others)))])
    return found
