"""Values that would make a step compute NaN, or run away, are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.errors import TensorError
from tfplus.model_file.manifest import Role, Variable
from tfplus.model_file.state_ranges import check_ranges


def check(name: str, *values: float, role: Role = "optimizer", trainable: bool = False) -> None:
    array = np.array(values, np.float32)
    check_ranges({name: array}, [Variable(name, array.shape, "float32", role, trainable, 64)])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer/learning_rate", 1e30, "at least 0 and at most 10000, .* learning rate, got 1e"),
        ("optimizer/learning_rate", -0.5, "got -0.5"),
        ("optimizer/square/shared/d/kernel", -1e-30, "at least 0, for it is a mean of squares"),
        ("optimizer/largest_square/task/3/d/kernel", -2.0, "a mean of squares, got -2"),
        ("optimizer/beta_1_power", 1.5, "at least 0 and at most 1, "),
        ("optimizer/beta_2_power", -0.1, "at least 0 and at most 1, "),
    ],
)
def test_values_outside_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(TensorError, match=f"tensor '{name}': expected values of .*{message}"):
        check(name, 0.5, value)


def test_a_variance_is_not_negative() -> None:
    name = "shared/bn/moving_variance"
    check(name, 0.0, 1.0, role="weight")
    with pytest.raises(TensorError, match="it is a variance, got -1"):
        check(name, 1.0, -1.0, role="weight")
    # A weight that trains, whatever it is called, can be anything.
    check(name, -1.0, role="weight", trainable=True)


def test_values_inside_pass() -> None:
    check("optimizer/learning_rate", 0.0)
    check("optimizer/learning_rate", 1e4)
    check("optimizer/beta_1_power", 1.0)
    check("optimizer/square/shared/square/kernel", 0.0, 1e30)
    check("optimizer/mean/shared/square/kernel", -1e30, 1e30)
    check("optimizer/momentum/shared/d/kernel", -3.0)
    check("optimizer/random/state", -1.0)
    check("shared/optimizer/square", -1.0, role="weight", trainable=True)
    check("optimizer/square/shared/empty/kernel")
