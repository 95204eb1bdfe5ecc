"""Features on disk, under a limit of bytes, of what one frozen part of a model made.

A crash costs what was not written yet, which is computed again. A row that does not match its hash
is dropped and computed again, too: a damaged cache costs time and never a wrong step.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfplus.errors import DamagedFileError
from tfplus.features import blocks
from tfplus.features.annotations import Annotated, Annotations
from tfplus.features.blocks import Rows
from tfplus.features.eviction import FREQUENT, Session
from tfplus.features.index import Entry, Index
from tfplus.features.limits import DEFAULT_LIMIT_BYTES
from tfplus.features.schema import NAME
from tfplus.features.signature import digest
from tfplus.features.uploads import Uploads

# Of a block: large enough that few files lie about, small enough to wait in memory.
_BLOCK_BYTES = 4 << 20
# What no index names is of a process that died, unless one is about to write its entry.
_ORPHAN_S = 3600.0


class FeatureCache:
    """The features that one maker made; those of others lie beside them and are never read.

    Any thread may use it.

    Args:
      folder: of the cache; made where there is none.
      maker: see `signature.maker`.
      layer: whose output they are, for people.
      shape: of one row.
      hyper: hash of the hyper-parameters, see `signature.hyper_parameters`.
      limit_bytes: of all blocks in the folder.
      note: told of damage.
      now: seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        maker: str,
        layer: str,
        shape: tuple[int, ...],
        *,
        hyper: str = "",
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        note: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._maker, self._shape = folder, maker, shape
        self._limit_bytes, self._note, self._now = limit_bytes, note, now
        self._index = self._opened()
        self._number, self._hyper = self._index.maker(maker, layer, now()), hyper
        self.annotations = Annotations(self._index.db, self._number)
        self.uploads = Uploads(self._index.db)
        self._lock = threading.RLock()
        self._maps: dict[str, Rows] = {}
        self._checked: set[tuple[str, int]] = set()
        self._gone: set[str] = set()
        self._waiting: dict[bytes, Rows] = {}
        self._is_full = False
        self._remove_orphans()

    def find(self, samples: Sequence[bytes]) -> list[Rows | None]:
        """The features of samples.

        Args:
          samples: their keys.

        Returns:
          For each a row of the shape, or None where there are none.
        """
        with self._lock:
            asked = [s for s in samples if s not in self._waiting]
            known = self._index.find(self._number, asked) if asked else {}
            return [self._waiting.get(s, self._row(known.get(s))) for s in samples]

    def add(self, samples: Sequence[bytes], rows: Rows) -> None:
        """Keeps features, if there is room; they are on disk after `flush`.

        Args:
          samples: their keys.
          rows: [n, ...], one for each.
        """
        with self._lock:
            if self._is_full:
                return
            for sample, row in zip(samples, rows, strict=True):
                self._waiting[sample] = np.array(row, np.float32)
            if sum(row.nbytes for row in self._waiting.values()) >= _BLOCK_BYTES:
                self._write()

    def flush(self) -> None:
        """Writes what waits. What does not fit under the limit, or on the disk, is let go."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        rows = np.stack(list(waiting.values()))
        if not self._make_room(rows.nbytes):
            self._is_full = True
            self._note(
                f"{self._folder}: holds no more than {self._limit_bytes} bytes: what comes now is "
                "computed each time; allow it more"
            )
            return
        try:
            name, size_bytes = blocks.write(self._folder, rows)
            hashes = [(sample, digest(row.tobytes())) for sample, row in waiting.items()]
            self._index.add(self._number, name, size_bytes, hashes, self._now(), self._hyper)
        except (OSError, sqlite3.Error) as error:
            self._is_full = True
            self._note(f"{self._folder}: features cannot be kept: {error}")

    def annotate(self, samples: Sequence[bytes], labels: Sequence[int]) -> int:
        """Gives samples labels; they are on disk when this returns, with their features.

        Args:
          samples: keys of samples that were added.
          labels: one for each.

        Returns:
          How many are kept: those that there is no room for are not.
        """
        with self._lock:
            self._write()
            return self.annotations.annotate(list(zip(samples, labels, strict=True)))

    def predicted(self, samples: Sequence[bytes]) -> None:
        """Counts a prediction of samples; those that were computed just now are written first."""
        with self._lock:
            self._write()
            self.annotations.predicted(samples)

    def annotated(
        self, upload: str | None = None, *, unsent: bool = False, limit: int = -1
    ) -> tuple[list[Annotated], Rows]:
        """Samples with labels and their features, in the order in which they came.

        Args:
          upload: those of this batch alone.
          unsent: those of no batch alone.
          limit: at most so many; negative for all.
        """
        with self._lock:
            self._write()
            found = [
                (a, row)
                for a in self.annotations.annotated(upload, unsent=unsent, limit=limit)
                if (row := self._row(a.entry)) is not None
            ]
            rows = [np.asarray(row, np.float32) for _, row in found]
            return [a for a, _ in found], np.stack(rows) if rows else np.empty(
                (0, *self._shape), np.float32
            )

    def evict(
        self, *, has_ended: bool, frequent: int = FREQUENT, makers: Sequence[str] = ()
    ) -> Counter[str]:
        """Drops what FedEx's rules name; see `eviction`.

        Args:
          has_ended: the session ends now.
          frequent: predictions from which on an entry counts as frequent.
          makers: whose entries go by the rules beside this one's, such as an earlier model's.

        Returns:
          How many entries for which reason.
        """
        with self._lock:
            self._write()
            session = Session(self.annotations.since_s(), self._hyper, has_ended, frequent)
            why, names = self.annotations.evict(session, (self._maker, *makers))
            for name in names:
                self._maps.pop(name, None)
                self._gone.add(name)
                (self._folder / name).unlink(missing_ok=True)
            return why

    def __len__(self) -> int:
        """How many samples have features here, written or waiting."""
        with self._lock:
            return self._index.count(self._number) + len(self._waiting)

    def close(self) -> None:
        """Writes what waits and closes the index."""
        self.flush()
        self._maps.clear()
        self._index.close()

    def _opened(self) -> Index:
        try:
            return Index(self._folder)
        except sqlite3.DatabaseError as error:
            path = self._folder / NAME
            self._note(f"{path}: is damaged ({error}): set aside, features are computed again")
            for suffix in ("-wal", "-shm"):
                path.with_name(f"{NAME}{suffix}").unlink(missing_ok=True)
            path.replace(path.with_name(f"{NAME}.damaged"))
            return Index(self._folder)

    def _row(self, entry: Entry | None) -> Rows | None:
        if entry is None or entry.block in self._gone:
            return None
        try:
            if entry.block not in self._maps:
                self._maps[entry.block] = blocks.open_rows(self._folder / entry.block, self._shape)
            mapped = self._maps[entry.block]
            if entry.row >= len(mapped):
                raise DamagedFileError(f"{entry.block}: has {len(mapped)} rows")
        except DamagedFileError as error:
            self._note(f"{self._folder}: {error}; its features are computed again")
            self._drop(entry.block)
            return None
        row = mapped[entry.row]
        place = (entry.block, entry.row)
        if place not in self._checked:
            if digest(row.tobytes()) != entry.hash:
                self._note(
                    f"{self._folder}: row {entry.row} of {entry.block} does not match its hash: "
                    "dropped, its features are computed again"
                )
                self._index.drop_row(*place)
                return None
            self._checked.add(place)
        return row

    def _make_room(self, size_bytes: int) -> bool:
        """Removes blocks of other makers, those used longest ago first, as far as needed."""
        known = self._index.blocks()
        total = sum(block.size_bytes for block in known) + size_bytes
        others = [block for block in known if block.maker != self._maker]
        if total - sum(block.size_bytes for block in others) > self._limit_bytes:
            # An epoch reads all of its samples in turn: to drop some for others would help nobody.
            return False
        for block in others:
            if total <= self._limit_bytes:
                break
            self._drop(block.name)
            total -= block.size_bytes
        return True

    def _drop(self, name: str) -> None:
        self._maps.pop(name, None)
        self._gone.add(name)
        self._index.drop_block(name)
        (self._folder / name).unlink(missing_ok=True)

    def _remove_orphans(self) -> None:
        known = {block.name for block in self._index.blocks()}
        for path in self._folder.glob(f"*{blocks.SUFFIX}*"):
            try:
                is_old = self._now() - path.stat().st_mtime > _ORPHAN_S
                if path.name not in known and is_old:
                    path.unlink()
            except OSError:
                continue
