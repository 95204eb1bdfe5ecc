"""What the tables of a store hold; who calls has the connection for itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfplus.data.store import database, record
from tfplus.data.store.record import Form
from tfplus.errors import DataError, StoreError

if TYPE_CHECKING:
    import sqlite3

DEFAULT_MAX_BYTES = 1 << 29
_MIB = 1 << 20
# Pages that a row may take beside its sample: its own, one of the index, and one more of each.
_ROW_PAGES = 4


class Rows:
    """The tables of one store.

    Args:
      path: of the file, for messages.
      connection: to it.

    Raises:
      DataError: in every method: the store does not hold what was written.
      StoreError: it is full, or the disk is.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def checked(self, number: int, form: Form) -> tuple[str, bytes] | None:
        """Name and bytes of a sample whose hash is that of its row; None where there is none."""
        # A size that was not announced is not read.
        row = self._connection.execute(
            "SELECT name, label, sha256, length(x), CASE WHEN typeof(x) = 'blob' AND "
            "length(x) = ? AND length(name) <= ? THEN x END FROM samples WHERE id = ?",
            (form.size_bytes, record.MAX_NAME_CHARS, number),
        ).fetchone()
        if row is None:
            return None
        name, label, sha256, size, x = row
        x = x or b""
        try:
            good = record.row_hash(name, label, form, x) == sha256
        except (TypeError, AttributeError, OverflowError):
            good = False
        if not good:
            raise DataError(
                f"{self._path}: sample {number} is damaged: expected {form.size_bytes} bytes with "
                f"the hash that was written, got {size}: forget it, or take the file from a backup"
            )
        return str(name), bytes(x)

    def check_room(self, more_bytes: int) -> None:
        """Refuses a sample of so many bytes where the store would grow beyond its cap."""
        said = self.get("max_bytes")
        limit = said if isinstance(said, int) and said > 0 else DEFAULT_MAX_BYTES
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        used = (pages - free) * size
        if used + more_bytes + _ROW_PAGES * size > limit:
            raise StoreError(
                f"{self._path}: the store is full: {used / _MIB:.1f} of {limit / _MIB:.1f} MiB are "
                "used: forget samples, or let it grow (tfplus samples add --max-mib)"
            )

    def rewrite(self) -> None:
        """Writes the file anew without what was removed, and empties its log."""
        # Overwriting what is deleted is not enough: of a row that SQLite had moved to another page,
        # pieces stayed behind in 1 of 150 random histories.
        try:
            with database.translated(self._path):
                self._connection.execute("VACUUM")
                row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if row[0]:
                raise StoreError("another process reads it without end")
        except StoreError as error:
            raise StoreError(
                f"{self._path}: the samples are removed, but their traces are not yet overwritten "
                f"({error}): run tfplus samples forget {self._path} again"
            ) from None
        self.set("traces", 0)

    def form(self) -> Form | None:
        """Of all samples; None while there was none."""
        text = self.get("form")
        return None if text is None else record.form_read(self._path, str(text)[:4096])

    def get(self, name: str) -> Any:
        """What the store says of itself under a name; None where it says nothing."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set(self, name: str, value: str | int) -> None:
        """Says something of the store."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
