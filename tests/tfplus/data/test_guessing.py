from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tfplus.data.guessing import far_above, guess_loss
from tfplus.model_file.manifest import Output


def output(name: str, targets: str, loss: str, weight: float = 1.0, **settings: Any) -> Output:
    fields = {"reduction": "mean", **settings, "name": loss}
    return Output(name, "logits", name, f"y_{name}", targets, -1.0, "m", fields, weight)  # type: ignore[arg-type]


LABEL = output("a", "label", "sparse_categorical_crossentropy")
Y = np.array([0, 3, 1, 2])


def test_all_classes_are_as_probable_to_who_guesses() -> None:
    assert guess_loss([LABEL], {"a": 10}, {"y_a": Y}, 4) == pytest.approx(math.log(10))


def test_losses_add_up_by_their_weights_and_those_of_samples() -> None:
    outputs = [LABEL, output("b", "value", "mean_squared_error", 0.5)]
    targets = {"y_a": Y, "y_b": np.array([[1.0], [-1.0], [3.0], [-3.0]])}
    want = math.log(4) + 0.5 * 5.0
    assert guess_loss(outputs, {"a": 4, "b": 1}, targets, 4) == pytest.approx(want)
    weights = np.array([0.0, 2.0, 4.0, 2.0], np.float32)
    found = guess_loss(outputs, {"a": 4, "b": 1}, targets, 4, weights)
    assert found == pytest.approx(2 * want)


def test_a_sum_is_over_all_rows_of_the_batch() -> None:
    summed = output("a", "label", "sparse_categorical_crossentropy", reduction="sum")
    steps = np.zeros((6, 5), np.int32)
    assert guess_loss([summed], {"a": 3}, {"y_a": steps}, 4) == pytest.approx(20 * math.log(3))


def test_of_one_class_and_of_unknown_losses_nothing_is_said() -> None:
    assert guess_loss([LABEL], {"a": 1}, {"y_a": Y}, 4) is None
    unknown = output("a", "value", "log_cosh")
    assert guess_loss([unknown], {"a": 1}, {"y_a": np.ones((4, 1))}, 4) is None


@pytest.mark.parametrize(
    ("first", "guess", "regularization", "is_told"),
    [
        (1485.0, 2.3, 0.0, True),
        (12.0, 2.3, 0.0, True),
        (11.0, 2.3, 0.0, False),
        (30.0, 2.3, 20.0, False),
        (1485.0, 2.3, None, False),
        (1485.0, None, 0.0, False),
        (1485.0, 0.0, 0.0, False),
    ],
)
def test_what_is_far_above_guessing(
    first: float, guess: float | None, regularization: float | None, is_told: bool
) -> None:
    told = far_above(first, guess, regularization)
    assert bool(told) == is_told
    for text in told:
        assert text.startswith(f"the first loss is {first:.4g}, that of guessing 2.3")
