"""What is known of entries beside their features: labels and predictions; and eviction by it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.features.eviction import Known, Session, reason
from tfplus.features.index import Entry
from tfplus.features.schema import transaction


@dataclass(frozen=True)
class Annotated:
    """A sample that a user gave a label.

    Attributes:
      sample: its key.
      label: of it.
      entry: where its features lie.
    """

    sample: bytes
    label: int
    entry: Entry


class Annotations:
    """The further columns of an index, for one maker.

    Args:
      db: of the index.
      maker: number of what made the features.

    Attributes:
      maker: that number.
    """

    def __init__(self, db: sqlite3.Connection, maker: int) -> None:
        self._db, self.maker = db, maker

    def annotate(self, labels: Sequence[tuple[bytes, int]]) -> int:
        """Gives samples labels; one that was sent under another label will be sent again.

        Args:
          labels: key of a sample, label.

        Returns:
          How many of them the index knows.
        """
        with transaction(self._db):
            known = 0
            for sample, label in labels:
                cursor = self._db.execute(
                    "UPDATE entries SET upload = CASE WHEN label IS ? THEN upload END, label = ? "
                    "WHERE maker = ? AND sample = ?",
                    (label, label, self.maker, sample),
                )
                known += cursor.rowcount
        return known

    def predicted(self, samples: Sequence[bytes]) -> None:
        """Counts a prediction of each sample."""
        with transaction(self._db, durable=False):
            self._db.executemany(
                "UPDATE entries SET predictions = predictions + 1 WHERE maker = ? AND sample = ?",
                [(self.maker, sample) for sample in samples],
            )

    def annotated(
        self, upload: str | None = None, *, unsent: bool = False, limit: int = -1
    ) -> list[Annotated]:
        """Samples with labels, in the order in which they came.

        Args:
          upload: those of this batch alone.
          unsent: those of no batch alone.
          limit: at most so many; negative for all.
        """
        wanted = " AND upload IS NULL" if unsent else " AND upload = ?" if upload else ""
        rows = self._db.execute(
            "SELECT sample, label, name, row, hash FROM entries JOIN blocks ON blocks.id = block "  # noqa: S608 (one of three texts above)
            f"WHERE entries.maker = ? AND label IS NOT NULL{wanted} ORDER BY added_s, block, row "
            "LIMIT ?",
            (self.maker, *([upload] if upload else []), limit),
        )
        return [Annotated(s, label, Entry(n, row, h)) for s, label, n, row, h in rows]

    def count(self) -> Counter[str]:
        """Entries, those with a label, and those with one that no server has."""
        found = self._db.execute(
            "SELECT COUNT(*), COUNT(label), COALESCE(SUM(label IS NOT NULL AND upload IS NULL), 0),"
            " COALESCE(SUM(predictions), 0) FROM entries WHERE maker = ?",
            (self.maker,),
        ).fetchone()
        names = ("entries", "annotated", "unsent", "predictions")
        return Counter(dict(zip(names, map(int, found), strict=True)))

    def since_s(self) -> float:
        """When features of this maker were kept first, seconds since 1970."""
        (found,) = self._db.execute(
            "SELECT since_s FROM makers WHERE id = ?", (self.maker,)
        ).fetchone()
        return float(found)

    def evict(self, session: Session, makers: Sequence[str]) -> tuple[Counter[str], list[str]]:
        """Drops the entries that FedEx's rules name.

        Args:
          session: the current one.
          makers: hashes of those whose entries are held against it.

        Returns:
          How many for which reason; blocks of which no row is left, to be removed from disk.
        """
        why: Counter[str] = Counter()
        marks = ",".join("?" * len(makers))
        with transaction(self._db):
            rows = self._db.execute(
                "SELECT maker, sample, added_s, hyper, label, predictions FROM entries "  # noqa: S608 (marks alone)
                f"WHERE maker IN (SELECT id FROM makers WHERE sha256 IN ({marks}))",
                tuple(makers),
            ).fetchall()
            for maker, sample, *known in rows:
                found = reason(Known(*known), session)
                if found is not None:
                    why[found] += 1
                    self._db.execute(
                        "DELETE FROM entries WHERE maker = ? AND sample = ?", (maker, sample)
                    )
            empty = "SELECT id FROM blocks WHERE id NOT IN (SELECT block FROM entries)"
            names = [n for (n,) in self._db.execute(empty.replace("id", "name", 1))]
            self._db.execute(f"DELETE FROM blocks WHERE id IN ({empty})")  # noqa: S608 (constant)
        return why, names
