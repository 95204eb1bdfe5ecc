"""What every format promises: equal samples are equal batches, and damaged files are named."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sqlite3
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tfplus.data import device_data
from tfplus.data.formats import registry
from tfplus.data.store.sample_store import SampleStore
from tfplus.errors import DataError, TfplusError

# [samples, 4, 3]: an image of 4 rows of 3 pixels, 4 frames of 3 channels, 4 rows of 3 columns.
X = np.random.default_rng(0).integers(0, 256, (9, 4, 3)).astype(np.uint8)
Y = np.repeat([0, 1, 2], 3)
NAMES = ("ant", "bee", "cat")


def npz(folder: Path) -> Path:
    np.savez(folder / "d.npz", x=X, y=Y)
    return folder / "d.npz"


def directory(folder: Path) -> Path:
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    return folder


def by_class(folder: Path, suffix: str, write: Callable[[Path, Any], None]) -> Path:
    # Written backwards: what counts are names, not the order of a directory.
    for at in reversed(range(len(X))):
        (folder / NAMES[Y[at]]).mkdir(exist_ok=True)
        write(folder / NAMES[Y[at]] / f"{at}{suffix}", X[at])
    return folder


def images(folder: Path) -> Path:
    return by_class(folder, ".png", lambda path, x: Image.fromarray(x, "L").save(path))


def sound(folder: Path) -> Path:
    return by_class(folder, ".wav", lambda path, x: write_wav(path, x.astype("<i2")))


def write_wav(path: Path, frames: Any, rate: int = 16000, width: int = 2) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(frames.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames.tobytes())


def table(folder: Path) -> Path:
    with (folder / "d.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "label", "b", "c"])
        for x, y in zip(X, Y, strict=True):
            writer.writerows([[row[0], NAMES[y], row[1], row[2]] for row in x])
    (folder / "d.dataset.json").write_text('{"window": 4}')
    return folder / "d.csv"


def store(folder: Path) -> Path:
    with SampleStore(folder / "s.db", create=True) as opened:
        for x, y in zip(X, Y, strict=True):
            opened.add(x, int(y))
    return folder / "s.db"


FORMATS = [npz, directory, images, sound, table, store]
FILES = {npz: "d.npz", directory: "x.npy", images: "bee/4.png", sound: "bee/4.wav", table: "d.csv"}
NAMED = {directory: r"array 'x'|no x\.npy"}


def used(path: Path, model: Any) -> list[device_data.Batch]:
    return list(device_data.batches(device_data.load(path, model, for_training=True), model, 4))


def test_every_format_is_in_the_contract() -> None:
    assert len(FORMATS) == len(registry.FORMATS)


@pytest.mark.parametrize("stored", FORMATS)
def test_the_same_samples_are_the_same_batches(
    tmp_path: Path, made_for: Any, stored: Callable[[Path], Path]
) -> None:
    path, model = stored(tmp_path), made_for((4, 3))
    assert device_data.inspect(path) == device_data.DataInfo(9)
    loaded = device_data.load(path, model, for_training=True)
    assert len(loaded) == 9
    for rows, batch in zip((range(4), range(4, 8), [8] * 4), used(path, model), strict=True):
        assert batch.inputs["x"].dtype == np.float32
        np.testing.assert_array_equal(batch.inputs["x"], X[list(rows)])
        np.testing.assert_array_equal(
            batch.targets["y"][: batch.valid], Y[list(rows)][: batch.valid]
        )
    column = loaded.inputs["x"]
    for rows in (slice(2, 5), np.array([7, 7, 0]), Y == 1):
        np.testing.assert_array_equal(column[rows], X[rows])
    assert device_data.misfits(loaded, model) == ()


@pytest.mark.parametrize("stored", FORMATS)
def test_samples_are_predicted_without_their_labels(
    tmp_path: Path, made_for: Any, stored: Callable[[Path], Path]
) -> None:
    loaded = device_data.load_inputs(stored(tmp_path), made_for((4, 3), 1))
    *_, last = device_data.batches(loaded, made_for((4, 3), 1), 4)
    np.testing.assert_array_equal(last.inputs["x"], X[[8] * 4])
    assert last.targets == {}


@pytest.mark.parametrize("stored", FORMATS)
def test_samples_of_another_shape_are_refused_with_both_shapes(
    tmp_path: Path, made_for: Any, stored: Callable[[Path], Path]
) -> None:
    path = stored(tmp_path)
    with pytest.raises(DataError, match=r"(?s)expected|takes") as caught:
        device_data.load(path, made_for((5, 3)), for_training=True)
    assert "5" in str(caught.value)
    assert "4" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("stored", FORMATS)
def test_a_class_that_the_model_lacks_is_refused(
    tmp_path: Path, made_for: Any, stored: Callable[[Path], Path]
) -> None:
    with pytest.raises(DataError, match=r"classes of the model, got 3|none of the model's classes"):
        device_data.load(stored(tmp_path), made_for((4, 3), 2), for_training=True)


@pytest.mark.parametrize("stored", FILES)
@pytest.mark.parametrize("damage", ["empty", "cut", "loop", "garbage"])
def test_a_damaged_file_is_named(
    tmp_path: Path, made_for: Any, stored: Callable[[Path], Path], damage: str
) -> None:
    path = stored(tmp_path)
    file = tmp_path / FILES[stored]
    whole = file.read_bytes()
    if damage == "loop":
        file.unlink()
        file.symlink_to(file)
    else:
        # Behind its pixels a PNG has sums and an end that nobody needs.
        cut = whole[: -26 if stored is images else -9]
        content = {"empty": b"", "cut": cut, "garbage": b"\xff\x00\x13" * 50}[damage]
        file.write_bytes(content)
    with pytest.raises(DataError, match=NAMED.get(stored, re.escape(FILES[stored]))):
        used(path, made_for((4, 3)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("stored", FORMATS)
def test_no_damaged_byte_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory,
    made_for: Any,
    stored: Callable[[Path], Path],
    data: st.DataObject,
) -> None:
    """Whatever is in a file: samples of the right form, or an error that is ours."""
    folder = tmp_path_factory.mktemp("d")
    path = stored(folder)
    file = folder / FILES.get(stored, "s.db")
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        batches = used(path, made_for((4, 3)))
    except TfplusError as error:
        assert str(path) in str(error) or str(folder) in str(error)
    else:
        assert all(b.inputs["x"].shape == (4, 4, 3) for b in batches)


def test_a_damaged_row_of_a_store_is_named(tmp_path: Path, made_for: Any) -> None:
    path = store(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE samples SET x = ? WHERE id = 5", (bytes(12),))
    connection.close()
    with pytest.raises(DataError, match=r"s\.db: sample 5 is damaged"):
        device_data.load(path, made_for((4, 3)), for_training=True)


def test_a_folder_of_nothing_known_says_what_would_be(tmp_path: Path) -> None:
    (tmp_path / "ant").mkdir()
    (tmp_path / "ant" / "1.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"found no x\.npy; nor is it a store.*PNG or JPEG.*WAV"):
        device_data.inspect(tmp_path)


def test_a_pipe_among_the_samples_is_not_waited_for(tmp_path: Path) -> None:
    images(tmp_path)
    os.mkfifo(tmp_path / "bee" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: expected a file"):
        device_data.inspect(tmp_path)
    (tmp_path / "t").mkdir()
    os.mkfifo(tmp_path / "t" / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv"):
        device_data.inspect(tmp_path / "t")


def test_the_labels_of_classes_are_written_and_kept(tmp_path: Path, made_for: Any) -> None:
    images(tmp_path)
    device_data.load(tmp_path, made_for((4, 3)), for_training=True)
    assert json.loads((tmp_path / "classes.json").read_text()) == {"ant": 0, "bee": 1, "cat": 2}
    (tmp_path / "aardvark").mkdir()
    with pytest.raises(DataError, match=r"classes\.json: the class 'aardvark' is missing"):
        device_data.load(tmp_path, made_for((4, 3), 4), for_training=True)
    (tmp_path / "classes.json").write_text('{"ant": 2, "bee": 0, "cat": 1, "aardvark": 3}')
    loaded = device_data.load(tmp_path, made_for((4, 3), 4), for_training=True)
    np.testing.assert_array_equal(loaded.targets["y"], [2, 2, 2, 0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ant": 0, "bee": 0, "cat": 1}', "a label of its own"),
        ('{"ant": -1, "bee": 0, "cat": 1}', "ant: expected an integer of at least 0"),
        ('["ant"]', "expected an object"),
        ("{", "expected JSON"),
    ],
)
def test_labels_that_are_none_are_refused(
    tmp_path: Path, made_for: Any, content: str, message: str
) -> None:
    images(tmp_path)
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(DataError, match=rf"classes\.json.*{message}"):
        device_data.load(tmp_path, made_for((4, 3)), for_training=True)


def test_names_that_are_numbers_are_labels_also_where_a_device_has_few(
    tmp_path: Path, made_for: Any
) -> None:
    for name in ("7", "10"):
        (tmp_path / name).mkdir()
        Image.fromarray(X[0], "L").save(tmp_path / name / "a.png")
    loaded = device_data.load(tmp_path, made_for((4, 3), 11), for_training=True)
    np.testing.assert_array_equal(loaded.targets["y"], [10, 7])
    with pytest.raises(DataError, match="label 10"):
        device_data.load(tmp_path, made_for((4, 3), 10), for_training=True)


@pytest.mark.parametrize("stored", FORMATS)
def test_a_fingerprint_tells_other_samples_and_not_a_copy(
    tmp_path: Path, stored: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(tmp_path)
    found = device_data.fingerprint(path)
    copy = Path(shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-copy"))
    same = copy if path == tmp_path else copy / path.name
    assert device_data.fingerprint(same) == found
    if stored is store:
        return
    # One value of one sample, in the middle, in a file of the same size.
    changed = X.copy()
    changed[4, 2, 1] ^= 1
    monkeypatch.setitem(globals(), "X", changed)
    (tmp_path / "other").mkdir()
    assert device_data.fingerprint(stored(tmp_path / "other")) != found


def test_a_store_keeps_its_fingerprint_and_another_one_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path, other = store(tmp_path), store(tmp_path / "other")
    found = device_data.fingerprint(path)
    with SampleStore(path) as opened:
        opened.add(np.zeros_like(X[0]), 1)
        opened.correct(1, 2)
        opened.forget([2])
    assert device_data.fingerprint(path) == found != device_data.fingerprint(other)
