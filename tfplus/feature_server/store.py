"""What the server keeps: batches, samples, versions and refusals, in SQLite (WAL).

A batch is acknowledged once its transaction is on disk. A sample of a device is there once: one
that comes again, with a corrected label, replaces what was there.

Several processes of one machine may have the folder open. Every change is one transaction that
takes the data base's write lock before it reads (BEGIN IMMEDIATE), so that what it decides still
holds when it commits; times of arrival are read under that lock, so that they grow as commits do.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError, StoreError
from tfplus.feature_server import locks
from tfplus.feature_server.checking import FeatureBatch
from tfplus.feature_server.records import Key, Sample, Version

NAME = "server.sqlite"
_OPENING = "opening.lock"
_VERSION = 2
_BUSY_S = 30.0

_SCHEMA = """
CREATE TABLE batches (
  device TEXT NOT NULL, id TEXT NOT NULL, received_s REAL NOT NULL, samples INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (device, id));
CREATE TABLE samples (
  maker TEXT NOT NULL, device TEXT NOT NULL, sample BLOB NOT NULL, hyper TEXT NOT NULL,
  label INTEGER NOT NULL, features BLOB NOT NULL, received_s REAL NOT NULL,
  PRIMARY KEY (maker, device, sample));
CREATE TABLE versions (
  number INTEGER PRIMARY KEY, model_sha256 TEXT NOT NULL, published_s REAL NOT NULL,
  taken_s REAL NOT NULL, samples INTEGER NOT NULL, loss REAL, weights TEXT NOT NULL);
CREATE TABLE refusals (at_s REAL NOT NULL, device TEXT NOT NULL, why TEXT NOT NULL);
"""
# Of version 2.
_REASONS = "ALTER TABLE versions ADD COLUMN why TEXT NOT NULL DEFAULT ''"


class Store:
    """The state of one server, or of several processes of one machine; any thread may use it.

    Args:
      folder: made where there is none.
      now: seconds since 1970.

    Raises:
      DataError: it is damaged, or of a newer tfplus.
      StoreError: it cannot be written.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock, self._now = threading.RLock(), now
        path = folder / NAME
        self._db = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            # SQLite does not wait where two processes turn a new file to WAL at once.
            with locks.held(folder / _OPENING):
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._bring_up_to_date(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DataError(
                f"{path}: {error}: put a copy back, or remove it: devices then send anew"
            ) from None
        except BaseException:
            self._db.close()
            raise

    def _bring_up_to_date(self, path: Path) -> None:
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise DataError(f"{path}: is of version {version}: update tfplus")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
            if version < _VERSION:
                self._db.execute(_REASONS)
                self._db.execute(f"PRAGMA user_version={_VERSION}")

    def has(self, device: str, batch_id: str) -> bool:
        """Whether a batch is there."""
        with self._lock:
            row = self._db.execute(
                "SELECT 1 FROM batches WHERE device = ? AND id = ?", (device, batch_id)
            ).fetchone()
        return row is not None

    def add(self, batch: FeatureBatch) -> bool:
        """Keeps a batch, on disk when this returns; one that is there already changes nothing.

        Returns:
          Whether it was there already.
        """
        with self._transaction():
            now_s = self._now_s()
            cursor = self._db.execute(
                "INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?)",
                (batch.device, batch.id, now_s, len(batch.rows), batch.rows.nbytes, batch.note),
            )
            if not cursor.rowcount:
                return True
            self._db.executemany(
                "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (batch.maker, batch.device, key, batch.hyper, int(label), row.tobytes(), now_s)
                    for key, label, row in zip(
                        batch.samples, batch.labels, batch.rows.astype("<f4"), strict=True
                    )
                ],
            )
        return False

    def count(self, maker: str, hyper: str) -> int:
        """How many samples there are of a maker, under its hyper-parameters."""
        with self._lock:
            (found,) = self._db.execute(
                "SELECT COUNT(*) FROM samples WHERE maker = ? AND hyper = ?", (maker, hyper)
            ).fetchone()
        return int(found)

    def received(self, maker: str, hyper: str, model_sha256: str) -> int:
        """How many samples of it arrived since those of the model's newest version were read."""
        with self._lock:
            (found,) = self._db.execute(
                "SELECT COUNT(*) FROM samples WHERE maker = ? AND hyper = ? AND received_s >= "
                "(SELECT COALESCE(MAX(taken_s), 0) FROM versions WHERE model_sha256 = ?)",
                (maker, hyper, model_sha256),
            ).fetchone()
        return int(found)

    def mark(self) -> float:
        """A time, in seconds since 1970, at which every sample with an earlier one is there."""
        with self._transaction():
            return self._now_s()

    def samples(
        self, maker: str, hyper: str, shape: tuple[int, ...]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Features [n, ...] and labels [n], in an order that does not depend on their coming."""
        with self._lock:
            found = self._db.execute(
                "SELECT features, label FROM samples WHERE maker = ? AND hyper = ? "
                "ORDER BY device, sample",
                (maker, hyper),
            ).fetchall()
        rows = np.frombuffer(b"".join(raw for raw, _ in found), "<f4")
        labels = np.asarray([label for _, label in found], np.int64)
        return rows.astype(np.float32).reshape(len(found), *shape), labels

    def keyed(self, maker: str, hyper: str, shape: tuple[int, ...]) -> dict[Key, Sample]:
        """Every sample of a maker, whose features have a shape."""
        with self._lock:
            found = self._db.execute(
                "SELECT device, sample, received_s, label, features FROM samples "
                "WHERE maker = ? AND hyper = ?",
                (maker, hyper),
            ).fetchall()
        return {
            (device, key): Sample(at_s, label, np.frombuffer(raw, "<f4").reshape(shape))
            for device, key, at_s, label, raw in found
        }

    def carry(self, maker: str, hyper: str, samples: Mapping[Key, Sample]) -> int:
        """Keeps features that were computed from those of an earlier layer; returns how many.

        Those that are there already stay as they are. They count as received now.
        """
        with self._transaction():
            now_s = self._now_s()
            cursor = self._db.executemany(
                "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (maker, *key, hyper, one.label, one.row.astype("<f4").tobytes(), now_s)
                    for key, one in samples.items()
                ],
            )
            return cursor.rowcount

    def newest(self, model_sha256: str | None = None) -> Version | None:
        """The version that was published last: of all, or of a model."""
        return self._version(
            "SELECT * FROM versions WHERE ?1 IS NULL OR model_sha256 = ?1 ORDER BY number DESC",
            model_sha256,
        )

    def version(self, number: int) -> Version | None:
        """The version of a number."""
        return self._version("SELECT * FROM versions WHERE number = ?", number)

    def _version(self, query: str, *given: object) -> Version | None:
        with self._lock:
            row = self._db.execute(f"{query} LIMIT 1", given).fetchone()
        return None if row is None else Version(*row)

    def weights(self) -> frozenset[str]:
        """Names of the files of all versions."""
        with self._lock:
            return frozenset(n for (n,) in self._db.execute("SELECT weights FROM versions"))

    def publish(self, version: Version) -> bool:
        """Adds a version whose weights are on disk, if it is the next one.

        Returns:
          Whether it was; where another process published one of that number before, nothing
          changes.
        """
        with self._transaction():
            (last,) = self._db.execute("SELECT COALESCE(MAX(number), 0) FROM versions").fetchone()
            if version.number != last + 1:
                return False
            self._db.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                tuple(vars(version).values()),
            )
        return True

    def refused(self, device: str, why: str) -> None:
        """Notes whose call was refused."""
        with self._transaction():
            self._db.execute("INSERT INTO refusals VALUES (?, ?, ?)", (self._now(), device, why))

    def close(self) -> None:
        """Closes the data base; nothing may follow."""
        with self._lock:
            self._db.close()

    def _now_s(self) -> float:
        """Never before samples were last read, also where the clock was set back."""
        (taken_s,) = self._db.execute("SELECT COALESCE(MAX(taken_s), 0) FROM versions").fetchone()
        return max(self._now(), taken_s)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._db.rollback()
                raise StoreError(f"the server's state cannot be written: {error}") from None
            except BaseException:
                self._db.rollback()
                raise
