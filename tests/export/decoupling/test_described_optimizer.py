"""An optimizer that was described, as in a plan, is the one that it was."""

from __future__ import annotations

from typing import Any

import pytest

from tfplus.errors import PlanError
from tfplus_export.optimizers import described
from tfplus_export.optimizers.adam import Adam
from tfplus_export.optimizers.adjusted import adjusted
from tfplus_export.optimizers.base import Optimizer
from tfplus_export.optimizers.clipping import Clip
from tfplus_export.optimizers.rmsprop import RmsProp
from tfplus_export.optimizers.sgd import Sgd


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(0.1, 0.9, nesterov=True),
        Adam(0.002, amsgrad=True),
        RmsProp(momentum=0.5, centered=True),
        adjusted(Adam(), Clip("global_clipnorm", 1.5), 0.004),
        adjusted(Sgd(), Clip("clipvalue", 0.5)),
    ],
    ids=repr,
)
def test_round_trip(optimizer: Optimizer) -> None:
    assert described.of(optimizer.describe()) == optimizer


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"name": "ftrl", "learning_rate": 0.1},
        {"name": "sgd", "learning_rate": 0.1},
        {"name": "sgd", "learning_rate": "fast", "momentum": 0, "nesterov": False},
        {"name": "sgd", "learning_rate": float("nan"), "momentum": 0, "nesterov": False},
        {**Sgd().describe(), "weight_decay": [1]},
    ],
    ids=repr,
)
def test_what_is_no_optimizer_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="optimizer"):
        described.of(said)
