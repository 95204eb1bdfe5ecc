from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sample_stores import rows, x_of

from tfplus.data.store.sample_store import Added, SampleStore
from tfplus.errors import DataError, StoreError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SampleStore]:
    with SampleStore(tmp_path / "s.db", create=True) as opened:
        yield opened


def test_what_was_added_is_what_sqlite_reads(store: SampleStore) -> None:
    assert store.add(x_of(0), 3) == Added(1, True, 3)
    assert store.add(x_of(1), 4, "a name") == Added(2, True, 4)
    store.correct(1, 9)
    assert rows(store.path) == [(1, 9, x_of(0).tobytes()), (2, 4, x_of(1).tobytes())]
    np.testing.assert_array_equal(store.read([2, 1, 7])[2], x_of(1))
    assert sorted(store.read([2, 1, 7])) == [1, 2]
    assert [s.name for s in store.listed()][1] == "a name"
    assert [s.id for s in store.listed(after=1)] == [2]
    assert [s.id for s in store.listed(limit=1)] == [1]


def test_a_commit_is_synced_to_a_log_and_private(store: SampleStore) -> None:
    store.add(x_of(0), 3)
    settings_of = store._connection.execute
    assert settings_of("PRAGMA journal_mode").fetchone() == ("wal",)
    assert settings_of("PRAGMA synchronous").fetchone() == (2,)
    for file in store.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_the_same_sample_is_there_once_and_keeps_its_correction(store: SampleStore) -> None:
    store.add(x_of(0), 3)
    store.correct(1, 5)
    assert store.add(x_of(0), 3) == Added(1, False, 5)
    assert store.add(x_of(0), 3, "again") == Added(2, True, 3)
    with pytest.raises(DataError, match="another sample named 'again', number 2"):
        store.add(x_of(1), 3, "again")
    assert len(rows(store.path)) == 2


def test_numbers_are_never_given_again(store: SampleStore) -> None:
    for seed in range(3):
        store.add(x_of(seed), 0)
    assert store.forget([3, 3, 8]) == 1
    assert store.add(x_of(3), 0).id == 4
    assert store.forget([]) == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(299, np.uint8), r"expected a sample of uint8\[300\], got uint8\[299\]"),
        (np.zeros(300, np.int8), r"got int8\[300\]"),
        (np.array([1.0, np.nan]), "NaN"),
        (np.array(["a"]), "expected integers or floats"),
        (np.zeros((0, 3)), "expected 1 to"),
        (np.zeros((1,) * 9), "at most 8 axes"),
        (np.zeros((1 << 26) + 1, np.uint8), "expected 1 to 67108864 bytes, got 67108865"),
    ],
)
def test_samples_that_do_not_fit_are_refused(store: SampleStore, x: Any, message: str) -> None:
    store.add(x_of(0), 3)
    with pytest.raises(DataError, match=message):
        store.add(x, 3)
    assert len(rows(store.path)) == 1


def test_labels_names_and_numbers_that_are_none(store: SampleStore) -> None:
    for label in (-1, 2**31):
        with pytest.raises(UsageError, match=f"label {label}"):
            store.add(x_of(0), label)
    for name in ("", "a\nb", "n" * 201):
        with pytest.raises(UsageError, match="the name of a sample"):
            store.add(x_of(0), 1, name)
    with pytest.raises(DataError, match="no sample has the number 1"):
        store.correct(1, 2)
    assert store.form() is None


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "bool", "u8", "f2"])
def test_values_come_back_as_they_were_whatever_their_byte_order(
    store: SampleStore, dtype: str
) -> None:
    x = np.arange(6).reshape(2, 3).astype(dtype)
    if dtype == "bool":
        with pytest.raises(DataError, match="got bool"):
            store.add(x, 1)
        return
    store.add(x, 1)
    got = store.read([1])[1]
    assert got.dtype == x.dtype.newbyteorder("<")
    np.testing.assert_array_equal(got, x)


def test_a_store_grows_no_larger_than_was_said(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with SampleStore(path, create=True, max_bytes=100_000) as store:
        with pytest.raises(StoreError, match=r"the store is full: 0\.1 of 0\.1 MiB") as caught:
            for seed in range(1000):
                store.add(x_of(seed), 0)
        held = len(rows(path))
        assert 100 < held < 300
        assert "--max-mib" in str(caught.value)
    with SampleStore(path) as store:
        assert path.stat().st_size <= 100_000
        with pytest.raises(StoreError, match="is full"):
            store.add(x_of(2000), 0)
        assert store.add(x_of(0), 0).new is False
        store.forget(range(1, 50))
        assert store.add(x_of(2000), 0).new
    with SampleStore(path, max_bytes=10**6) as store:
        assert store.add(x_of(2001), 0).new


def test_two_processes_may_use_a_store(tmp_path: Path) -> None:
    with SampleStore(tmp_path / "s.db", create=True) as one, SampleStore(tmp_path / "s.db") as two:
        one.add(x_of(0), 1)
        two.add(x_of(1), 2)
        one.correct(2, 3)
        assert [(s.id, s.label) for s in two.listed()] == [(1, 1), (2, 3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such store of samples"),
        (b"", "got another data base"),
        (b"no database at all" * 100, "expected a store of samples: file is not a database"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "s.db").write_bytes(content)
    with pytest.raises(DataError, match=message):
        SampleStore(tmp_path / "s.db")


def test_another_data_base_and_a_newer_store_are_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE samples (id)")
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(DataError, match="got another data base"):
        SampleStore(tmp_path / "other.db", create=True)
    assert (tmp_path / "other.db").read_bytes() == before
    SampleStore(tmp_path / "s.db", create=True).close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(DataError, match="expected a store of version 1, got 2"):
        SampleStore(tmp_path / "s.db")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE samples SET label = 4",
        "UPDATE samples SET label = 'four'",
        "UPDATE samples SET name = 'another'",
        "UPDATE samples SET x = zeroblob(300)",
        "UPDATE samples SET x = zeroblob(100000000)",
        "UPDATE samples SET x = 'text'",
        "UPDATE samples SET sha256 = x'00'",
        """UPDATE meta SET value = '{"shape": [100], "dtype": "|u1"}' WHERE name = 'form'""",
        """UPDATE meta SET value = '{"shape": [99999999999], "dtype": "|u1"}'""",
        "UPDATE meta SET value = '{'",
    ],
)
def test_a_row_that_was_changed_is_found(store: SampleStore, change: str) -> None:
    store.add(x_of(0), 3)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(change)
    with pytest.raises(DataError, match=r"s\.db: "):
        store.read([1])
    assert store.forget([1]) == 1


class AgainstADict(RuleBasedStateMachine):
    """Any sequence of calls leaves what a dictionary would hold, also in a file opened anew."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "s.db"
        self.store = SampleStore(self.path, create=True)
        self.model: dict[int, tuple[int, int]] = {}
        self.next = 1

    @rule(seed=st.integers(0, 9), label=st.integers(0, 4))
    def add(self, seed: int, label: int) -> None:
        there = {s: (n, held) for n, (s, held) in self.model.items()}
        if seed in there:
            number, held = there[seed]
            assert self.store.add(x_of(seed, 20), label) == Added(number, False, held)
        else:
            assert self.store.add(x_of(seed, 20), label) == Added(self.next, True, label)
            self.model[self.next] = (seed, label)
            self.next += 1

    @rule(place=st.integers(0, 20), label=st.integers(0, 4))
    def correct(self, place: int, label: int) -> None:
        if place in self.model:
            self.store.correct(place, label)
            self.model[place] = (self.model[place][0], label)
        else:
            with pytest.raises(DataError, match="no sample has the number"):
                self.store.correct(place, label)

    @precondition(lambda self: self.model)
    @rule(chosen=st.sets(st.integers(0, 20), max_size=3))
    def forget(self, chosen: set[int]) -> None:
        assert self.store.forget(chosen) == len(chosen & set(self.model))
        for number in chosen:
            self.model.pop(number, None)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SampleStore(self.path)

    @invariant()
    def holds_what_the_dictionary_does(self) -> None:
        numbers, labels = self.store.labels()
        want = sorted(self.model)
        assert numbers.tolist() == want
        assert labels.tolist() == [self.model[n][1] for n in want]
        found = self.store.read(want)
        for number in want:
            np.testing.assert_array_equal(found[number], x_of(self.model[number][0], 20))

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


AgainstADict.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

TestAgainstADict = AgainstADict.TestCase
