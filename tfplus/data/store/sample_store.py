"""A store of labelled samples: add, correct, forget, and read for training.

A call that returned is on disk. Adding the same sample again, as after an answer that was lost,
changes nothing. Forgetting rewrites the file, so that no page of it or of its log keeps a trace.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.store import database, record
from tfplus.data.store.record import Form
from tfplus.data.store.rows import Rows
from tfplus.data.store.samples import Added, Listed, Sample, batches
from tfplus.errors import DataError, UsageError

_AT_ONCE = 500


class SampleStore:
    """One store. Thread-safe; other processes may use the file at the same time.

    Args:
      path: of the file.
      create: whether to make it where it is missing.
      max_bytes: what the file may grow to; None for what was said last, at first 512 MiB.

    Raises:
      DataError: the file is missing, damaged or no store.
      StoreError: it is locked, or the disk is full.
      UsageError: `max_bytes` is not positive.

    Examples:
      >>> import numpy, pathlib, tempfile
      >>> folder = tempfile.TemporaryDirectory()
      >>> store = SampleStore(pathlib.Path(folder.name) / "store.db", create=True)
      >>> added = store.add(numpy.zeros((2, 2), numpy.uint8), 3)
      >>> store.correct(added.id, 5)
      >>> [(s.id, s.label) for s in store.listed()]
      [(1, 5)]
      >>> store.forget([added.id])
      1
      >>> store.close()
      >>> folder.cleanup()
    """

    def __init__(self, path: Path, *, create: bool = False, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise UsageError(f"the size of a store: expected at least 1 byte, got {max_bytes}")
        self.path = path
        self._lock = threading.Lock()
        self._connection = database.connect(path, create=create)
        self._rows = Rows(path, self._connection)
        # A column that training reads keeps its store as long as it lives, and no longer.
        weakref.finalize(self, self._connection.close)
        if max_bytes is not None:
            with self._transaction():
                self._rows.set("max_bytes", max_bytes)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> SampleStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def identity(self) -> str:
        """What tells this store from any other, whatever is in it."""
        with self._reading():
            known = self._rows.get(database.IDENTITY)
            return str(known if known is not None else self._rows.form())[:100]

    def form(self) -> Form | None:
        """Shape and dtype of a sample; None while there is none."""
        with self._reading():
            return self._rows.form()

    def add_all(self, samples: Iterable[Sample]) -> list[Added]:
        """Stores many samples, each as `add` does; they are on disk when this returns.

        A commit, which waits for the disk, is for some megabytes of them. Where one is refused,
        those of the commits before it stay.

        Raises:
          TfplusError: as `add` does.
        """
        added: list[Added] = []
        for some in batches(samples):
            ready = [self._ready(sample) for sample in some]
            with self._transaction():
                added.extend(self._put(*each) for each in ready)
        return added

    def add(self, x: npt.NDArray[Any], label: int, name: str | None = None) -> Added:
        """Stores a sample; it is on disk when this returns.

        Args:
          x: its values, of any shape; every sample of a store has the same shape and dtype.
          label: its class, not negative.
          name: of the caller's choosing, unique; by default the hash of the values, so that equal
            samples are stored once.

        Raises:
          DataError: it has another form than those that are there, or there is another sample of
            that name.
          StoreError: the store or the disk is full.
          UsageError: the label or the name is none.
        """
        (added,) = self.add_all([Sample(x, label, name)])
        return added

    def correct(self, number: int, label: int) -> None:
        """Gives a sample another label; that is on disk when this returns.

        Raises:
          DataError: there is no such sample, or it is damaged.
          StoreError: the disk is full.
          UsageError: the label is none.
        """
        label = record.label_checked(label)
        with self._transaction():
            form = self._rows.form()
            found = self._rows.checked(number, form) if form else None
            if form is None or found is None:
                raise DataError(f"{self.path}: no sample has the number {number}")
            name, x = found
            self._connection.execute(
                "UPDATE samples SET label = ?, sha256 = ? WHERE id = ?",
                (label, record.row_hash(name, label, form, x), number),
            )

    def forget(self, numbers: Iterable[int]) -> int:
        """Removes samples; when this returns, no byte of them is left in any file.

        It rewrites the store, which takes as much space again and as long as copying it: forget
        many at once. Called with none, it finishes what was interrupted.

        Args:
          numbers: of samples; those that are not there are not counted.

        Returns:
          How many there were.

        Raises:
          StoreError: the disk is full or a reader does not end; the samples are not trained on
            any more, but traces may be left until a call succeeds.
        """
        chosen = list(numbers)
        with self._transaction():
            removed = 0
            for start in range(0, len(chosen), _AT_ONCE):
                some = chosen[start : start + _AT_ONCE]
                removed += self._connection.execute(
                    f"DELETE FROM samples WHERE id IN ({_marks(some)})",  # noqa: S608
                    some,
                ).rowcount
            if removed:
                self._rows.set("traces", 1)
        with self._reading():
            if self._rows.get("traces"):
                self._rows.rewrite()
        return removed

    def listed(self, after: int = 0, limit: int | None = None) -> list[Listed]:
        """Samples in the order in which they were added, without their values.

        Args:
          after: leave out numbers up to this one.
          limit: at most so many; None for all.
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT id, name, label FROM samples WHERE id > ? ORDER BY id LIMIT ?",
                (after, -1 if limit is None else limit),
            )
            return [Listed(*row) for row in rows]

    def about(self) -> tuple[int, tuple[int, ...] | None, str | None]:
        """How many samples there are, and shape and dtype of one; None while there is none."""
        form = self.form()
        return self.count(), form.shape if form else None, form.dtype.name if form else None

    def count(self) -> int:
        """How many samples there are."""
        with self._reading():
            return int(self._connection.execute("SELECT count(*) FROM samples").fetchone()[0])

    def labels(self, until: int | None = None) -> tuple[npt.NDArray[np.int64], ...]:
        """Numbers, ascending, and labels of all samples: two arrays int64 [samples].

        Args:
          until: leave out numbers above this one.
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT id, label FROM samples WHERE id <= ? ORDER BY id",
                (2**63 - 1 if until is None else until,),
            ).fetchall()
        if not all(isinstance(v, int) for row in rows for v in row):
            raise DataError(f"{self.path}: expected integers as labels, it is damaged")
        pairs = np.asarray(rows, np.int64).reshape(-1, 2)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def read(self, numbers: Sequence[int]) -> dict[int, npt.NDArray[Any]]:
        """Values of samples by their numbers; those that are not there are left out.

        Raises:
          DataError: a row is not what was written.
        """
        found: dict[int, npt.NDArray[Any]] = {}
        with self._reading():
            form = self._rows.form()
            if form is not None:
                for number in numbers:
                    row = self._rows.checked(number, form)
                    if row is not None:
                        found[number] = np.frombuffer(row[1], form.dtype).reshape(form.shape)
        return found

    def _ready(self, sample: Sample) -> tuple[Form, bytes, int, str]:
        form, content = record.form_of(sample.x), np.ascontiguousarray(sample.x)
        stored = content.astype(content.dtype.newbyteorder("<")).tobytes()
        label = record.label_checked(sample.label)
        if sample.name is None:
            return form, stored, label, record.content_hash(form, stored).hex()
        return form, stored, label, record.name_checked(sample.name)

    def _put(self, form: Form, stored: bytes, label: int, name: str) -> Added:
        known = self._rows.form()
        if known is None:
            self._rows.set("form", form.json())
        elif known != form:
            raise DataError(f"{self.path}: expected a sample of {known}, got {form}")
        row = self._connection.execute(
            "SELECT id, label, x = ? FROM samples WHERE name = ?", (stored, name)
        ).fetchone()
        if row is not None:
            if not row[2]:
                raise DataError(
                    f"{self.path}: there is another sample named '{name}', number {row[0]}"
                )
            return Added(row[0], False, row[1])
        self._rows.check_room(len(stored))
        number = self._connection.execute(
            "INSERT INTO samples (name, label, sha256, x) VALUES (?, ?, ?, ?)",
            (name, label, record.row_hash(name, label, form, stored), stored),
        ).lastrowid
        return Added(int(number or 0), True, label)

    @contextmanager
    def _reading(self) -> Generator[None]:
        with self._lock, database.translated(self.path):
            yield

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with self._reading(), database.transaction(self._connection):
            yield


def _marks(values: Sequence[int]) -> str:
    return ",".join("?" * len(values))
