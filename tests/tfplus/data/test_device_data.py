from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import X, Y, directory, manifest, npz
from hypothesis import given
from hypothesis import strategies as st

from tfplus.data import device_data
from tfplus.errors import DataError


@pytest.mark.parametrize("store", [npz, directory])
def test_samples_and_labels_come_as_the_model_takes_them(tmp_path: Path, store: Any) -> None:
    path = store(tmp_path, x=X, y=Y)
    assert device_data.inspect(path) == device_data.DataInfo(5)
    loaded = device_data.load(path, manifest(), for_training=True)
    assert len(loaded) == 5
    first, second = device_data.batches(loaded, manifest(), 3)
    assert first.inputs["x"].dtype == np.float32
    assert first.targets["y"].dtype == np.int32
    np.testing.assert_array_equal(first.inputs["x"], X[:3] * 0.5 - 1)
    np.testing.assert_array_equal(first.targets["y"], [0, 1, 2])
    assert (first.valid, second.valid) == (3, 2)
    np.testing.assert_array_equal(second.targets["y"], [3, 4, -1])
    np.testing.assert_array_equal(second.inputs["x"][2], second.inputs["x"][0])


def test_floats_are_taken_as_they_are(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 12).reshape(2, 2, 3).astype(">f8")
    loaded = device_data.load(npz(tmp_path, x=x, y=[0, 1]), manifest(), for_training=True)
    (batch,) = device_data.batches(loaded, manifest(), 2)
    np.testing.assert_array_equal(batch.inputs["x"], x.astype(np.float32))


def test_the_arrays_of_a_directory_are_mapped_not_read(tmp_path: Path) -> None:
    loaded = device_data.load(directory(tmp_path, x=X, y=Y), manifest(), for_training=True)
    assert isinstance(loaded.inputs["x"], np.memmap)


@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 2**32))
def test_an_epoch_has_every_sample_once_in_an_order_that_the_seed_gives(
    count: int, size: int, seed: int
) -> None:
    x = np.arange(count, dtype=np.float32).reshape(count, 1)
    y = np.arange(count) % 5
    loaded = device_data.Dataset({"x": x}, {"y": y.astype(np.int32)})
    shape = manifest({"x": ((1,), "float32")}, classes=(0, 1, 2, 3, 4))
    runs = [
        list(device_data.batches(loaded, shape, size, np.random.default_rng(seed)))
        for _ in range(2)
    ]
    assert len(runs[0]) == device_data.steps_per_epoch(count, size)
    orders = [np.concatenate([b.inputs["x"][: b.valid, 0] for b in run]) for run in runs]
    np.testing.assert_array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], np.random.default_rng(seed).permutation(count))
    for batch in runs[0]:
        assert batch.inputs["x"].shape == (size, 1)
        np.testing.assert_array_equal(
            batch.targets["y"][: batch.valid], batch.inputs["x"][: batch.valid, 0] % 5
        )
        assert (batch.targets["y"][batch.valid :] == -1).all()


def test_labels_that_the_model_lacks_are_refused_for_training_and_kept_for_evaluation(
    tmp_path: Path,
) -> None:
    path = npz(tmp_path, x=X, y=[9, 0, 7, -4, 3])
    with pytest.raises(DataError, match=r"label 7 \(sample 2\).*\[9, 0, 1, 2, 3\]"):
        device_data.load(path, manifest(), for_training=True)
    loaded = device_data.load(path, manifest(), for_training=False)
    np.testing.assert_array_equal(loaded.targets["y"], [0, 1, -1, -1, 4])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "found only: x"),
        ({"x": X, "y": Y[:4]}, r"x \[5, 2, 3\] and y \[4\]"),
        ({"x": X[:0], "y": Y[:0]}, "at least one sample"),
        ({"x": np.array(["a"] * 5), "y": Y}, "x: expected numbers"),
        ({"x": np.array([{}] * 5), "y": Y}, "never loaded"),
        ({"x": np.float32(1), "y": Y}, r"shapes of x \[\]"),
    ],
)
@pytest.mark.parametrize("store", [npz, directory])
def test_what_is_no_data_set_is_refused(
    tmp_path: Path, store: Any, arrays: dict[str, Any], message: str
) -> None:
    path = store(tmp_path, **arrays)
    if store is directory and "y" not in arrays:
        message = "found no y.npy"
    with pytest.raises(DataError, match=message):
        device_data.inspect(path)


def test_samples_of_another_shape_name_both_shapes(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X.reshape(5, 6), y=Y)
    with pytest.raises(DataError, match=r"\[6\].*'m' takes \[2, 3\]"):
        device_data.load(path, manifest(), for_training=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("store", [npz, directory])
def test_values_that_are_not_finite_are_found(tmp_path: Path, store: Any, bad: float) -> None:
    x = X.astype(np.float64)
    x[3, 1, 2] = bad
    with pytest.raises(DataError, match="sample 3 holds NaN"):
        device_data.load(store(tmp_path, x=x, y=Y), manifest(), for_training=True)


def test_a_missing_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such data; expected an .npz"):
        device_data.inspect(tmp_path / "none.npz")


def test_a_pipe_or_a_device_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", Path("/dev/zero")):
        with pytest.raises(DataError, match="expected a file or a directory"):
            device_data.inspect(path)


def test_every_truncation_of_an_npz_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            device_data.load(path, manifest(), for_training=True)


def test_every_truncation_of_a_directory_is_refused(tmp_path: Path) -> None:
    path = directory(tmp_path, x=X, y=Y)
    whole = (path / "x.npy").read_bytes()
    for length in range(len(whole)):
        (path / "x.npy").write_bytes(whole[:length])
        with pytest.raises(DataError):
            device_data.load(path, manifest(), for_training=True)


def test_a_header_that_announces_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 2, 3)}
    )
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", file.getvalue() + b"\0" * 100)
        archive.writestr("y.npy", file.getvalue() + b"\0" * 100)
    with pytest.raises(DataError, match="announces float32"):
        device_data.inspect(tmp_path / "d.npz")


def test_a_damaged_byte_in_an_npz_is_found(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    at = content.index(X.tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        device_data.load(path, manifest(), for_training=True)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y.astype(float)}, r"y: expected integer labels of shape \[samples\].*float64\[5\]"),
        ({"y": Y.reshape(5, 1)}, r"shape \[samples\].*\[5, 1\]"),
        ({"x": X.astype(bool)}, "x: expected floats or integers, got bool"),
    ],
)
def test_what_is_no_label_or_sample_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        device_data.load(npz(tmp_path, **{"x": X, "y": Y, **arrays}), manifest(), for_training=True)
