"""A file that is written aside, synced, and gets its name when it is whole."""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
import threading
from pathlib import Path
from types import TracebackType

# What a killed process leaves behind ends so.
PART = ".part"
# The disk starts on the first bytes of a large file while the rest is still to come.
_SYNC_BYTES = 16 << 20


class AsideFile:
    """A new file without its name yet; a context manager, at whose end it is gone unless kept.

    Args:
      directory: where it is to be.
      prefix: of its name until then.

    Attributes:
      handle: its descriptor, readable and writable; nobody else may read it.

    Raises:
      OSError: there is no such directory, or it is not writable.
    """

    def __init__(self, directory: Path, prefix: str) -> None:
        self.handle, name = tempfile.mkstemp(dir=directory, prefix=prefix, suffix=PART)
        self._path = Path(name)
        self._kept = False
        self._unsynced = 0
        self._syncs: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None

    def __enter__(self) -> AsideFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_syncs()
        os.close(self.handle)
        if not self._kept:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Writes all of `data` at a place.

        Raises:
          OSError: the disk is full, or fails.
        """
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self.handle, rest, offset)
            rest, offset = rest[count:], offset + count
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            self._unsynced = 0
            self._sync_beside()

    def keep(self, path: Path, *, mode: int) -> None:
        """Gives it its name; it is on disk when this returns.

        Args:
          path: in the same directory; a file of that name is replaced.
          mode: permissions; it never had wider ones.

        Raises:
          OSError: the disk is full, or fails; the file of that name, if any, is as it was.
        """
        self._end_syncs()
        if self._failure is not None:
            # The kernel tells of bytes that it could not write only once.
            raise self._failure
        os.fchmod(self.handle, mode)
        os.fsync(self.handle)
        self._path.replace(path)
        self._kept = True
        sync_directory(path.parent)

    def _sync_beside(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._sync, name="sync", daemon=True)
            self._thread.start()
        if self._syncs.empty():
            self._syncs.put(True)

    def _sync(self) -> None:
        while self._syncs.get():
            try:
                os.fdatasync(self.handle)
            except OSError as error:
                self._failure = error
                return

    def _end_syncs(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._syncs.put(False)
            thread.join()


def remove(path: Path) -> None:
    """Removes a file, if it is there, and leaves it to a thread to free a large one's memory.

    Raises:
      OSError: it cannot be removed.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        # Nobody's, or nothing that can be opened.
        path.unlink(missing_ok=True)
        return
    try:
        path.unlink(missing_ok=True)
    finally:
        # The last that has it open pays for the pages.
        threading.Thread(target=os.close, args=(handle,), name="remove", daemon=True).start()


def sync_directory(path: Path) -> None:
    """Makes a rename in the directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
