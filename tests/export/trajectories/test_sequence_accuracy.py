"""Sequence models learn as much from the exported file as from Keras."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seeds", "epochs", "learned"),
    [("lstm", 2, 15, 80.0), ("cnn", 2, 15, 90.0)],
)
def test_accuracies_are_half_a_point_apart_at_most(
    name: str, seeds: int, epochs: int, learned: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from sequences import TASKS, compare

    result = compare(name, TASKS[name], TASKS[name].data(), seeds, epochs)
    assert min(result.keras) > learned
    assert abs(result.difference) <= 0.5
