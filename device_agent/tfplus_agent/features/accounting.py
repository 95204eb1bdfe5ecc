"""What sendings of a sample cost in privacy, by Google's dp-accounting (the extra `privacy`).

Local differential privacy: whoever reads what was sent can tell two samples apart with at most
(epsilon, delta). Features are the Gaussian mechanism, whose sendings compose exactly: precisions of
their noise add up. Labels are k-ary randomised response; with features they compose by privacy loss
distributions, whose rounding only ever makes epsilon larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tfplus.errors import MissingExtraError
from tfplus.features.sendings import Sending

DELTA = 1e-5
# Of a privacy loss, in parts of the whole: finer costs time, coarser gives away a little.
_PARTS = 1e5
_FINEST = 1e-4


def of_features(sendings: Sequence[Sending], delta: float = DELTA) -> float:
    """The smallest epsilon of all features that were sent of one sample, labels aside.

    Args:
      sendings: at least one.
      delta: between 0 and 1.

    Returns:
      Infinity where features were sent as they are.

    Raises:
      MissingExtraError: the accountant is not installed.
    """
    accountant = _gaussian()
    if any(sending.multiplier == 0 for sending in sendings):
        return math.inf
    return float(accountant.get_epsilon_gaussian(_together(sendings), delta))


def of_everything(sendings: Sequence[Sending], delta: float = DELTA) -> float:
    """An epsilon of all features and labels that were sent of one sample.

    Args:
      sendings: at least one.
      delta: between 0 and 1.

    Returns:
      Infinity where features or labels were sent as they are.

    Raises:
      MissingExtraError: the accountant is not installed.
    """
    alone = of_features(sendings, delta)
    if math.isinf(alone) or any(sending.label_epsilon == 0 for sending in sendings):
        return math.inf
    from dp_accounting.pld import privacy_loss_distribution as losses

    most = alone + sum(sending.label_epsilon for sending in sendings)
    interval = max(_FINEST, most / _PARTS)
    loss = losses.from_gaussian_mechanism(
        _together(sendings), value_discretization_interval=interval
    )
    for sending in sendings:
        if sending.labels > 1:
            # It draws among all labels with this probability, so also the one that it was.
            drawn = sending.labels / (math.exp(sending.label_epsilon) + sending.labels - 1)
            loss = loss.compose(
                losses.from_randomized_response(
                    drawn, sending.labels, value_discretization_interval=interval
                )
            )
    return float(loss.get_epsilon_for_delta(delta))


def _together(sendings: Sequence[Sending]) -> float:
    return 1 / math.sqrt(sum(sending.multiplier**-2 for sending in sendings))


def _gaussian() -> Any:
    try:
        from dp_accounting import gaussian_mechanism
    except ImportError:
        raise MissingExtraError.of("the epsilon of what is sent", "privacy") from None
    return gaussian_mechanism
