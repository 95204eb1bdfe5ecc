"""Where the features of a sample lie: SQLite in WAL mode, so that readers and a writer do not wait.

A row of `entries` is written after its block is on disk: what the index names is there. What made
features has a row of its own; an entry is found only by whom it was made by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.features.schema import NAME, migrate

_BUSY_S = 10.0
# SQLite takes 32766 values in a statement since 3.32, 999 before.
_AT_ONCE = 900


@dataclass(frozen=True)
class Entry:
    """Where a row lies.

    Attributes:
      block: name of the block's file.
      row: in it.
      hash: of the row's bytes.
    """

    block: str
    row: int
    hash: bytes


@dataclass(frozen=True)
class Block:
    """A block that the index knows.

    Attributes:
      name: of its file.
      size_bytes: of it.
      maker: hash of what made its rows.
    """

    name: str
    size_bytes: int
    maker: str


class Index:
    """The index of one folder; each process opens its own.

    Args:
      folder: of the cache.

    Raises:
      DataError: it is of a newer tfplus.
      sqlite3.DatabaseError: it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        # `FeatureCache` holds a lock: a batch is read ahead in a thread of its own.
        self._db = sqlite3.connect(
            folder / NAME, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # What a loss of power takes is computed again; labels are written by `transaction`.
            self._db.execute("PRAGMA synchronous=NORMAL")
            migrate(self._db, folder)
        except BaseException:
            self._db.close()
            raise

    def maker(self, sha256: str, layer: str, now_s: float) -> int:
        """Number of what makes features; it counts as used now."""
        self._db.execute(
            "INSERT INTO makers (sha256, layer, used_s, since_s) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET used_s = excluded.used_s",
            (sha256, layer, now_s, now_s),
        )
        found = self._db.execute("SELECT id FROM makers WHERE sha256 = ?", (sha256,)).fetchone()
        return int(found[0])

    def find(self, maker: int, samples: Sequence[bytes]) -> dict[bytes, Entry]:
        """The entries of samples; those that have none are left out."""
        found: dict[bytes, Entry] = {}
        for start in range(0, len(samples), _AT_ONCE):
            part = samples[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                "SELECT sample, name, row, hash FROM entries JOIN blocks ON blocks.id = block "  # noqa: S608 (marks alone)
                f"WHERE entries.maker = ? AND sample IN ({marks})",
                (maker, *part),
            )
            found |= {sample: Entry(name, row, digest) for sample, name, row, digest in rows}
        return found

    def add(
        self,
        maker: int,
        name: str,
        size_bytes: int,
        rows: Sequence[tuple[bytes, bytes]],
        now_s: float,
        hyper: str = "",
    ) -> None:
        """Adds a block that is on disk, and its rows, all or none.

        Args:
          maker: of the features.
          name: of the block.
          size_bytes: of it.
          rows: sample and hash of each row, in their order.
          now_s: seconds since 1970.
          hyper: hash of the hyper-parameters.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            cursor = self._db.execute(
                "INSERT INTO blocks (maker, name, size_bytes, written_s) VALUES (?, ?, ?, ?)",
                (maker, name, size_bytes, now_s),
            )
            # Another process may have computed the same sample: none is there twice.
            self._db.executemany(
                "INSERT OR IGNORE INTO entries (maker, sample, block, row, hash, added_s, hyper) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(maker, s, cursor.lastrowid, i, h, now_s, hyper) for i, (s, h) in enumerate(rows)],
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def blocks(self) -> list[Block]:
        """Every block, those of what was used longest ago first, and of these the oldest.

        Blocks with a user's labels stand behind all others: these cannot be computed again.
        """
        rows = self._db.execute(
            "SELECT name, size_bytes, sha256 FROM blocks JOIN makers ON makers.id = maker "
            "ORDER BY EXISTS "
            "(SELECT 1 FROM entries WHERE block = blocks.id AND label IS NOT NULL), "
            "used_s, written_s, blocks.id"
        )
        return [Block(*row) for row in rows]

    def drop_block(self, name: str) -> None:
        """Forgets a block and its rows."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            "DELETE FROM entries WHERE block IN (SELECT id FROM blocks WHERE name = ?)", (name,)
        )
        self._db.execute("DELETE FROM blocks WHERE name = ?", (name,))
        self._db.execute("COMMIT")

    def drop_row(self, name: str, row: int) -> None:
        """Forgets one row of a block."""
        self._db.execute(
            "DELETE FROM entries WHERE row = ? AND block IN (SELECT id FROM blocks WHERE name = ?)",
            (row, name),
        )

    def count(self, maker: int) -> int:
        """How many samples have features of that maker."""
        (found,) = self._db.execute(
            "SELECT COUNT(*) FROM entries WHERE maker = ?", (maker,)
        ).fetchone()
        return int(found)

    @property
    def db(self) -> sqlite3.Connection:
        """The data base, for what else is kept in it; see `annotations`."""
        return self._db

    def close(self) -> None:
        """Closes the data base; nothing may follow."""
        self._db.close()
