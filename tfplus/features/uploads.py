"""What left the device, and what is about to: batches of annotated features, by id."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.features import sendings
from tfplus.features.schema import transaction
from tfplus.features.sendings import Sending


@dataclass(frozen=True)
class Upload:
    """A batch that left the device, or is about to.

    Attributes:
      id: by which a server knows it again.
      made_s: when it was put together, seconds since 1970.
      server: address.
      layer: whose output was sent.
      samples: in it.
      size_bytes: of features and labels.
      sent_s: when the server acknowledged it; None where it has not yet.
      note: what was done to the features before, such as noise.
    """

    id: str
    made_s: float
    server: str
    layer: str
    samples: int
    size_bytes: int
    sent_s: float | None
    note: str


class Uploads:
    """The batches of an index.

    Args:
      db: of the index.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def begin(self, upload: Upload, maker: int, samples: Sequence[bytes]) -> None:
        """Notes which samples a batch holds before it is sent, so that it can be sent again.

        Args:
          upload: the batch.
          maker: number of what made the features.
          samples: keys.
        """
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(vars(upload).values())
            )
            self._db.executemany(
                "UPDATE entries SET upload = ? WHERE maker = ? AND sample = ?",
                [(upload.id, maker, sample) for sample in samples],
            )

    def sending(self, samples: Sequence[bytes], how: Sending) -> None:
        """Notes, before samples are sent, that they are; see `sendings`."""
        sendings.begin(self._db, samples, how)

    def end(self, upload_id: str, now_s: float, note: str = "") -> None:
        """Notes that a server has a batch, and what was done to it in the sending that it has."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE uploads SET sent_s = ?, note = ? WHERE id = ?", (now_s, note, upload_id)
            )

    def withdraw(self, upload_id: str) -> None:
        """Forgets a batch that no server has; its samples wait again."""
        with transaction(self._db):
            self._db.execute("UPDATE entries SET upload = NULL WHERE upload = ?", (upload_id,))
            self._db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def pending(self) -> list[str]:
        """Ids of batches that no server acknowledged, the oldest first."""
        return [upload.id for upload in self.every() if upload.sent_s is None]

    def every(self) -> list[Upload]:
        """Every batch, the oldest first, also those of other makers."""
        rows = self._db.execute("SELECT * FROM uploads ORDER BY made_s, id")
        return [Upload(*row) for row in rows]
