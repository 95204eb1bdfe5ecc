"""The server's state: each batch once, each sample once, whatever comes again."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfplus.errors import DataError
from tfplus.feature_server.checking import FeatureBatch
from tfplus.feature_server.records import Sample, Version
from tfplus.feature_server.store import NAME, Store

BATCH = FeatureBatch(
    "b1",
    "pi-1",
    "m",
    "h",
    (b"a", b"b"),
    np.array([1, 2]),
    np.arange(8, dtype=np.float32).reshape(2, 4),
    "",
)


def clock(*times_s: float) -> Iterator[float]:
    return iter(times_s)


def opened(folder: Path, *times_s: float) -> Store:
    """A store whose clock shows these times, one after the other."""
    return Store(folder, now=clock(*times_s).__next__)


def test_a_batch_counts_once_and_a_corrected_sample_replaces(tmp_path: Path) -> None:
    store = opened(tmp_path, 10, 11, 12, 13)
    assert not store.add(BATCH)
    assert store.add(BATCH)
    assert store.count("m", "h") == 2
    # The same id of another device is another batch, and its samples are others.
    assert not store.add(dataclasses.replace(BATCH, device="pi-2"))
    corrected = dataclasses.replace(
        BATCH, id="b2", samples=(b"a",), labels=np.array([7]), rows=BATCH.rows[:1]
    )
    assert not store.add(corrected)
    store.close()
    store = Store(tmp_path)
    rows, labels = store.samples("m", "h", (2, 2))
    assert labels.tolist() == [7, 2, 1, 2]
    np.testing.assert_array_equal(rows.reshape(4, 4), BATCH.rows[[0, 1, 0, 1]])
    assert store.count("m", "g") == store.count("n", "h") == 0
    store.close()


def test_what_came_while_a_version_was_trained_counts_for_the_next(tmp_path: Path) -> None:
    store = opened(tmp_path, 10, 10.5, 15, 2)
    assert store.newest() is None
    store.add(BATCH)
    assert store.received("m", "h", "f") == 2
    version = Version(1, "f", 20.0, store.mark(), 2, 0.5, "w", "since")
    assert version.taken_s == 10.5
    assert store.publish(version)
    assert store.newest() == store.newest("f") == store.version(1) == version
    assert store.newest("g") is store.version(2) is None
    assert store.received("m", "h", "f") == 0
    # Another file's versions were trained on samples of their own.
    assert store.received("m", "h", "g") == 2
    # After the samples were read, before the version was published.
    store.add(dataclasses.replace(BATCH, id="b2", device="pi-2"))
    assert store.received("m", "h", "f") == 2
    # The clock was set back.
    store.add(dataclasses.replace(BATCH, id="b3", device="pi-3"))
    assert store.received("m", "h", "f") == 4
    store.close()


def test_versions_are_one_sequence_of_all_who_publish(tmp_path: Path) -> None:
    stores = Store(tmp_path), Store(tmp_path)
    one, other = (Version(1, f, 1.0, 1.0, 0, None, f"{f}.w") for f in "fg")
    assert stores[0].publish(one)
    # The number is taken, and none may be left out.
    assert not stores[1].publish(other)
    assert not stores[1].publish(dataclasses.replace(other, number=3))
    assert stores[1].publish(dataclasses.replace(other, number=2))
    assert [store.newest() for store in stores] == [dataclasses.replace(other, number=2)] * 2
    assert stores[0].newest("f") == one
    assert stores[0].weights() == {"f.w", "g.w"}
    for store in stores:
        store.close()


def test_a_state_of_the_first_version_is_gone_on_with(tmp_path: Path) -> None:
    store = Store(tmp_path)
    version = Version(1, "f", 1.0, 1.0, 0, None, "w")
    store.publish(version)
    store.close()
    # As the first version left it.
    db = sqlite3.connect(tmp_path / NAME)
    db.execute("ALTER TABLE versions DROP COLUMN why")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    store = Store(tmp_path)
    assert store.newest() == version
    store.close()


def test_features_that_were_computed_on_are_carried_once(tmp_path: Path) -> None:
    store = opened(tmp_path, 10, 20, 30, 40)
    store.add(BATCH)
    known = store.keyed("m", "h", (2, 2))
    assert {key: (s.received_s, s.label) for key, s in known.items()} == {
        ("pi-1", b"a"): (10, 1), ("pi-1", b"b"): (10, 2)
    }  # fmt: skip
    np.testing.assert_array_equal(known["pi-1", b"b"].row, [[4, 5], [6, 7]])
    later = {key: Sample(s.received_s, s.label, s.row[0] + 1) for key, s in known.items()}
    assert store.carry("n", "h", {("pi-1", b"a"): later["pi-1", b"a"]}) == 1
    # What is there stays.
    changed = {key: Sample(1, 9, s.row) for key, s in later.items()}
    assert store.carry("n", "h", changed) == 1
    rows, labels = store.samples("n", "h", (2,))
    assert labels.tolist() == [1, 9]
    np.testing.assert_array_equal(rows, [[1, 2], [5, 6]])
    assert store.received("n", "h", "f") == 2
    assert store.carry("n", "h", {}) == 0
    store.close()


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no data base" * 100)
    with pytest.raises(DataError, match="put a copy back"):
        Store(tmp_path)
