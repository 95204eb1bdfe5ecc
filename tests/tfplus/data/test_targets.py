"""Targets of every loss, and several inputs and outputs by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import X, Y, directory, manifest, npz, output

from tfplus.data import device_data
from tfplus.errors import DataError
from tfplus.model_file.manifest import Output

VALUE = output(targets="value", kind="values", padding=-1e38, metric="mae")

BINARY = output(targets="binary", padding=-1e38)

CHANCES = output(targets="distribution", padding=-1e38)


@pytest.mark.parametrize(
    ("of", "shape", "stored", "want"),
    [
        (VALUE, (1,), np.array([1, -2, 3, 4, 5]), [[1], [-2], [3], [4], [5]]),
        (VALUE, (2,), np.ones((5, 2)), np.ones((5, 2))),
        (BINARY, (1,), np.array([True, False, True, True, False]), [[1], [0], [1], [1], [0]]),
        (BINARY, (2,), np.eye(5, 2), np.eye(5, 2)),
        (CHANCES, (2,), np.full((5, 2), 0.5), np.full((5, 2), 0.5)),
    ],
)
def test_targets_come_as_the_loss_takes_them(
    tmp_path: Path, of: Output, shape: tuple[int, ...], stored: Any, want: Any
) -> None:
    given = manifest(outputs=[(of, shape)], classes=())
    loaded = device_data.load(npz(tmp_path, x=X, y=stored), given, for_training=True)
    _, last = device_data.batches(loaded, given, 4)
    assert last.targets["y"].dtype == np.float32
    np.testing.assert_array_equal(last.targets["y"][:1], want[4:])
    np.testing.assert_array_equal(last.targets["y"][1:], np.full((3, *shape), -1e38, np.float32))


@pytest.mark.parametrize(
    ("of", "stored", "message"),
    [
        (VALUE, np.ones((5, 3)), r"expected numbers of shape \[samples, 2\], got float64\[5, 3\]"),
        (VALUE, np.ones(5), r"got float64\[5\]"),
        (VALUE, np.full((5, 2), np.nan), "sample 0 holds nan"),
        (VALUE, np.full((5, 2), 1e300), "sample 0 holds inf"),
        (BINARY, np.array([[0, 1]] * 4 + [[0, 2]]), "sample 4 holds 2: expected 0 or 1"),
        (CHANCES, np.full((5, 2), -0.5), "sample 0 holds -0.5: expected probabilities"),
    ],
)
def test_targets_that_the_loss_does_not_take(
    tmp_path: Path, of: Output, stored: Any, message: str
) -> None:
    given = manifest(outputs=[(of, (2,))], classes=())
    with pytest.raises(DataError, match=message):
        device_data.load(npz(tmp_path, x=X, y=stored), given, for_training=True)


TWO = {"image": ((2, 3), "float32"), "words": ((4,), "int32")}

WORDS = np.arange(20).reshape(5, 4)

SEVERAL = [
    (output("y_class"), (5,)),
    (output("y_size", targets="value", padding=-1e38), (1,)),
]


@pytest.mark.parametrize("store", [npz, directory])
def test_several_inputs_and_outputs_are_arrays_of_their_names(tmp_path: Path, store: Any) -> None:
    given = manifest(TWO, SEVERAL, weights=True, classes=(), vocabularies={"words": 20})
    arrays = {"image": X, "words": WORDS, "y_class": Y % 5, "y_size": np.ones(5)}
    path = store(tmp_path, **arrays, sample_weight=np.arange(5) / 2)
    assert device_data.inspect(path) == device_data.DataInfo(5)
    _, last = device_data.batches(device_data.load(path, given, for_training=True), given, 4)
    assert list(last.arguments) == ["image", "words", "y_class", "y_size", "sample_weight"]
    np.testing.assert_array_equal(last.inputs["image"][0], X[4] * 0.5 - 1)
    np.testing.assert_array_equal(last.inputs["words"], np.tile(WORDS[4].astype(np.int32), (4, 1)))
    assert last.inputs["words"].dtype == np.int32
    np.testing.assert_array_equal(last.targets["y_class"], [3, -1, -1, -1])
    np.testing.assert_array_equal(last.weights["sample_weight"], np.full(4, 2, np.float32))
    assert device_data.load(path, given, for_training=False).weights is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": WORDS.astype(float)}, "words: expected integers, got float64"),
        ({"words": WORDS + 1}, "words: sample 4 holds 20: expected 0 to 19"),
        ({"words": WORDS - 1}, "words: sample 0 holds -1"),
        ({"words": WORDS[:4]}, "words: expected 5 samples, got 4"),
        ({"words": WORDS[:, :3]}, r"words: its samples have shape \[3\]"),
        ({"y_class": Y}, "label 9 .sample 0."),
        ({"sample_weight": np.ones((5, 1))}, "sample_weight: expected one number a sample"),
        ({"sample_weight": np.full(5, np.inf)}, "sample_weight: sample 0 holds NaN or infinity"),
        ({"y_size": None}, "expected the arrays image and words and y_class and y_size"),
    ],
)
def test_arrays_of_several_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    given = manifest(TWO, SEVERAL, weights=True, classes=(), vocabularies={"words": 20})
    arrays = {"image": X, "words": WORDS, "y_class": Y % 5, "y_size": np.ones(5)}
    arrays |= {"sample_weight": np.ones(5), **changes}
    path = npz(tmp_path, **{n: a for n, a in arrays.items() if a is not None})
    with pytest.raises(DataError, match=message):
        device_data.load(path, given, for_training=True)
