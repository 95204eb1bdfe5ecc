"""Metrics against sums written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfplus.model_file.manifest import Kind, Output, Targets
from tfplus.training.scoring import score


def output(targets: Targets, kind: Kind = "logits") -> Output:
    return Output("o", kind, "", "y", targets, 0.0, "accuracy", {}, 1.0)


CASES: list[tuple[Output, Any, Any, list[float]]] = [
    (output("label"), [[1, 3], [2, 0], [0, 1]], [1, 1, -1], [1, 0, 0]),
    (output("label"), [[[1, 3], [2, 0]]], [[1, 1]], [0.5]),
    (output("distribution"), [[1, 3], [2, 0]], [[0.4, 0.6], [0.1, 0.9]], [1, 0]),
    (output("binary"), [[0.2, -0.1], [0.3, -2.0]], [[1, 1], [1, 0]], [0.5, 1]),
    (output("binary", "probabilities"), [[0.2], [0.7]], [[0], [0]], [1, 0]),
    (output("value", "values"), [[1, 3], [2, 0]], [[2, 5], [2, 0.5]], [1.5, 0.25]),
]


@pytest.mark.parametrize(("of", "predictions", "targets", "want"), CASES)
def test_scores(of: Output, predictions: Any, targets: Any, want: list[float]) -> None:
    got = score(of, np.array(predictions, np.float32), np.array(targets))
    np.testing.assert_allclose(got, want, rtol=1e-6)
