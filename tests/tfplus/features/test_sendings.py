"""How often samples left, and with what noise: counted by sample, whoever made the features."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tfplus.features.forgetting import forget
from tfplus.features.index import Index
from tfplus.features.schema import NAME
from tfplus.features.sendings import Sending, begin, histories

LOUD, QUIET, CLEAR = Sending(2.0, 1.0, 10), Sending(0.5), Sending()


def test_sendings_are_counted_by_sample(tmp_path: Path) -> None:
    index = Index(tmp_path)
    assert histories(index.db) == {}
    begin(index.db, [b"a", b"b", b"c"], LOUD)
    begin(index.db, [b"b", b"c"], LOUD)
    begin(index.db, [b"c"], QUIET)
    begin(index.db, [b"d"], CLEAR)
    index.close()
    index = Index(tmp_path)
    assert histories(index.db) == {
        (LOUD,): 1,
        (LOUD, LOUD): 1,
        (QUIET, LOUD, LOUD): 1,
        (CLEAR,): 1,
    }
    # Forgotten samples leave no trace here, either.
    forget(tmp_path, [b"c", b"d"])
    assert histories(index.db) == {(LOUD,): 1, (LOUD, LOUD): 1}
    index.close()


def test_samples_of_an_earlier_index_are_forgotten(tmp_path: Path) -> None:
    Index(tmp_path).close()
    db = sqlite3.connect(tmp_path / NAME)
    for table in ("sendings", "costs"):
        db.execute(f"DROP TABLE {table}")
    db.execute("PRAGMA user_version=2")
    db.close()
    assert forget(tmp_path, [b"a"]) == 0
    index = Index(tmp_path)
    assert histories(index.db) == {}
    index.close()
