"""A hand that writes unlike others: the map of the plane, against points that move by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfplus.demo import hand
from tfplus.demo.digits import Samples
from tfplus.errors import DataError


def one_dot(row: int, column: int) -> Samples:
    x = np.zeros((1, 9, 9, 1), np.uint8)
    x[0, row, column, 0] = 200
    return Samples(x, np.zeros(1, np.int32))


def ink(samples: Samples) -> list[tuple[int, int]]:
    return [(int(r), int(c)) for _, r, c, _ in np.argwhere(samples.x > 100)]


def test_a_quarter_turn_moves_a_dot() -> None:
    # Three to the right of the middle; counter-clockwise that is three above it.
    assert ink(hand.written(one_dot(4, 7), 90, 0)) == [(1, 4)]
    assert ink(hand.written(one_dot(4, 7), -90, 0)) == [(7, 4)]
    assert ink(hand.written(one_dot(4, 4), 37, 0.4)) == [(4, 4)]


def test_a_slant_leans_the_upper_rows_to_the_right() -> None:
    assert ink(hand.written(one_dot(2, 4), 0, 1)) == [(2, 6)]
    assert ink(hand.written(one_dot(6, 4), 0, 1)) == [(6, 2)]


def test_nothing_changes_without_either() -> None:
    rng = np.random.default_rng(0)
    samples = Samples(rng.integers(0, 17, (5, 8, 8, 1)).astype(np.uint8), np.arange(5))
    np.testing.assert_array_equal(hand.written(samples, 0, 0).x, samples.x)


def test_other_digits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    x, y = np.zeros((3, 28, 28), np.uint8), np.array([1, 2, 9])
    np.savez(path, x_train=x, y_train=y)
    read = hand.load(path)
    assert read.x.shape == (3, 28, 28, 1)
    assert read.y.tolist() == [1, 2, 9]
    for bad in ({"x": x.astype(np.float32), "y": y}, {"x": x, "y": y[:2]}, {"x": x, "y": y + 1}):
        np.savez(path, **bad)
        with pytest.raises(DataError, match="expected uint8 images"):
            hand.load(path)
    with pytest.raises(DataError, match=r"none\.npz"):
        hand.load(tmp_path / "none.npz")
