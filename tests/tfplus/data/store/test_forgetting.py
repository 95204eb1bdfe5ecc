"""Of a forgotten sample no file keeps a trace."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sample_stores import rows, x_of

from tfplus.data.store.sample_store import SampleStore
from tfplus.errors import StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SampleStore]:
    with SampleStore(tmp_path / "s.db", create=True) as opened:
        yield opened


def contents(folder: Path) -> bytes:
    return b"|".join(file.read_bytes() for file in sorted(folder.iterdir()))


@pytest.mark.parametrize("size", [40, 300, 20_000])
def test_of_a_forgotten_sample_no_file_keeps_a_trace(tmp_path: Path, size: int) -> None:
    """Some rows fit into a page, others take several; all of them moved around before."""
    with SampleStore(tmp_path / "s.db", create=True) as store:
        for seed in range(60):
            store.add(x_of(seed, size), seed % 3, f"sample named {seed:05}")
        for number in range(1, 61, 2):
            store.correct(number, 7)
        gone = [*range(2, 61, 3), 1]
        assert x_of(gone[0] - 1, size).tobytes()[:16] in contents(tmp_path)
        assert store.forget(gone) == len(gone)
        left = contents(tmp_path)
        for number in gone:
            x = x_of(number - 1, size).tobytes()
            assert not [
                at for at in range(0, size - 12, max(7, size // 60)) if x[at : at + 12] in left
            ]
            assert hashlib.sha256(x).digest() not in left
            assert f"sample named {number - 1:05}".encode() not in left
        # The file is a new one: pages that were only overwritten would be free ones in it.
        assert store._connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        kept = sorted(set(range(1, 61)) - set(gone))
        assert [row[0] for row in rows(store.path)] == kept
        assert all(row[2] == x_of(row[0] - 1, size).tobytes() for row in rows(store.path))


def test_traces_that_a_reader_held_are_overwritten_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfplus.data.store.database.BUSY_TIMEOUT_S", 0.05)
    with SampleStore(tmp_path / "s.db", create=True) as store:
        for seed in range(3):
            store.add(x_of(seed), 0)
        with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM samples").fetchone() == (3,)
            with pytest.raises(StoreError, match=r"traces are not yet overwritten.*samples forget"):
                store.forget([2])
            # It is not trained on any more, whoever may still read.
            assert sorted(store.read([1, 2, 3])) == [1, 3]
            assert x_of(1).tobytes() in contents(tmp_path)
            reader.execute("COMMIT")
    with SampleStore(tmp_path / "s.db") as store:
        assert store.forget([]) == 0
        assert x_of(1).tobytes() not in contents(tmp_path)
