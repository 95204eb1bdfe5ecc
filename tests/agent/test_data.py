from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import DataError
from tfplus.manifest import Preprocessing
from tfplus_agent import data


def manifest(**changes: Any) -> Any:
    fields = {"name": "m", "input_shape": (2, 3), "classes": (9, 0, 1, 2, 3)}
    return SimpleNamespace(**{**fields, "preprocessing": Preprocessing(0.5, -1.0), **changes})


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path / "d.npz", **arrays)
    return path / "d.npz"


def directory(path: Path, **arrays: Any) -> Path:
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


X = np.arange(30, dtype=np.uint8).reshape(5, 2, 3)
Y = np.array([9, 0, 1, 2, 3])


@pytest.mark.parametrize("store", [npz, directory])
def test_samples_and_labels_come_as_the_model_takes_them(tmp_path: Path, store: Any) -> None:
    path = store(tmp_path, x=X, y=Y)
    assert data.inspect(path) == data.DataInfo(5, (2, 3))
    loaded = data.load(path, manifest(), for_training=True)
    assert loaded.class_counts() == {0: 1, 1: 1, 2: 1, 3: 1, 9: 1}
    first, second = data.batches(loaded, manifest(), 3)
    assert first.x.dtype == np.float32
    assert first.y.dtype == np.int32
    np.testing.assert_array_equal(first.x, X[:3] * 0.5 - 1)
    np.testing.assert_array_equal(first.y, [0, 1, 2])
    assert (first.valid, second.valid) == (3, 2)
    np.testing.assert_array_equal(second.y, [3, 4, -1])
    np.testing.assert_array_equal(second.x[2], second.x[0])


def test_floats_are_taken_as_they_are(tmp_path: Path) -> None:
    x = np.linspace(-1, 1, 12).reshape(2, 2, 3).astype(">f8")
    loaded = data.load(npz(tmp_path, x=x, y=[0, 1]), manifest(), for_training=True)
    (batch,) = data.batches(loaded, manifest(), 2)
    np.testing.assert_array_equal(batch.x, x.astype(np.float32))


def test_the_arrays_of_a_directory_are_mapped_not_read(tmp_path: Path) -> None:
    loaded = data.load(directory(tmp_path, x=X, y=Y), manifest(), for_training=True)
    assert isinstance(loaded.x, np.memmap)


@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 2**32))
def test_an_epoch_has_every_sample_once_in_an_order_that_the_seed_gives(
    count: int, size: int, seed: int
) -> None:
    x = np.arange(count, dtype=np.float32).reshape(count, 1)
    y = np.arange(count) % 5
    loaded = data.Dataset(x, y, y.astype(np.int32))
    shape = manifest(input_shape=(1,), classes=(0, 1, 2, 3, 4))
    runs = [list(data.batches(loaded, shape, size, np.random.default_rng(seed))) for _ in range(2)]
    assert len(runs[0]) == data.steps_per_epoch(count, size)
    orders = [np.concatenate([b.x[: b.valid, 0] for b in run]) for run in runs]
    np.testing.assert_array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], np.random.default_rng(seed).permutation(count))
    for batch in runs[0]:
        assert batch.x.shape == (size, 1)
        np.testing.assert_array_equal(batch.y[: batch.valid], batch.x[: batch.valid, 0] % 5)
        assert (batch.y[batch.valid :] == -1).all()


def test_labels_that_the_model_lacks_are_refused_for_training_and_kept_for_evaluation(
    tmp_path: Path,
) -> None:
    path = npz(tmp_path, x=X, y=[9, 0, 7, -4, 3])
    with pytest.raises(DataError, match=r"label 7 \(sample 2\).*\[9, 0, 1, 2, 3\]"):
        data.load(path, manifest(), for_training=True)
    loaded = data.load(path, manifest(), for_training=False)
    np.testing.assert_array_equal(loaded.indices, [0, 1, -1, -1, 4])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "found only: x"),
        ({"x": X, "y": Y[:4]}, r"x has shape \[5, 2, 3\] and y \[4\]"),
        ({"x": X[:0], "y": Y[:0]}, "at least one sample"),
        ({"x": X, "y": Y.astype(float)}, r"integer labels.*float64\[5\]"),
        ({"x": X, "y": Y.reshape(5, 1)}, r"shape \[samples\].*\[5, 1\]"),
        ({"x": X.astype(bool), "y": Y}, "floats or integers, got bool"),
        ({"x": np.array(["a"] * 5), "y": Y}, "floats or integers"),
        ({"x": np.array([{}] * 5), "y": Y}, "never loaded"),
        ({"x": np.float32(1), "y": Y}, r"x has shape \[\]"),
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
        data.inspect(path)


def test_samples_of_another_shape_name_both_shapes(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X.reshape(5, 6), y=Y)
    with pytest.raises(DataError, match=r"\[6\].*'m' takes \[2, 3\]"):
        data.load(path, manifest(), for_training=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("store", [npz, directory])
def test_values_that_are_not_finite_are_found(tmp_path: Path, store: Any, bad: float) -> None:
    x = X.astype(np.float64)
    x[3, 1, 2] = bad
    with pytest.raises(DataError, match="sample 3 holds NaN"):
        data.load(store(tmp_path, x=x, y=Y), manifest(), for_training=True)


def test_a_missing_path_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such data; expected an .npz"):
        data.inspect(tmp_path / "none.npz")


def test_a_pipe_or_a_device_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", Path("/dev/zero")):
        with pytest.raises(DataError, match="expected a file or a directory"):
            data.inspect(path)


def test_every_truncation_of_an_npz_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            data.load(path, manifest(), for_training=True)


def test_every_truncation_of_a_directory_is_refused(tmp_path: Path) -> None:
    path = directory(tmp_path, x=X, y=Y)
    whole = (path / "x.npy").read_bytes()
    for length in range(len(whole)):
        (path / "x.npy").write_bytes(whole[:length])
        with pytest.raises(DataError):
            data.load(path, manifest(), for_training=True)


def test_a_header_that_announces_more_than_there_is_allocates_nothing(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 2, 3)}
    )
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", file.getvalue() + b"\0" * 100)
        archive.writestr("y.npy", file.getvalue() + b"\0" * 100)
    with pytest.raises(DataError, match="announces float32"):
        data.inspect(tmp_path / "d.npz")


def test_a_damaged_byte_in_an_npz_is_found(tmp_path: Path) -> None:
    path = npz(tmp_path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    at = content.index(X.tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        data.load(path, manifest(), for_training=True)
