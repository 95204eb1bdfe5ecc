"""The agent's state directory: who uses it, how often it was started, which model it had loaded."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tfplus.errors import BusyError, UsageError
from tfplus.system.files import write_atomic
from tfplus_agent.storage.checkpoints import StorageError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """What the last LoadModel asked for.

    Attributes:
      sha256: address of the model.
      threads: of the interpreter; 0 for every core.
      disable_xnnpack: whether XNNPACK is left out.
    """

    sha256: str
    threads: int
    disable_xnnpack: bool


class StateDirectory:
    """A state directory that one agent uses.

    Args:
      path: made when it is missing.

    Raises:
      BusyError: another agent uses it.
      UsageError: it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+")
        except OSError as error:
            raise UsageError(f"{path}: cannot be the state directory: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise BusyError(
                f"{path}: another agent (pid {holder}) uses this state directory: give each agent "
                "its own with --state-dir or --name"
            ) from None
        try:
            self._lock.truncate(0)
            os.write(self._lock.fileno(), str(os.getpid()).encode())
        except OSError as error:
            self._lock.close()
            raise UsageError(f"{path}: cannot be the state directory: {error.strerror}") from None

    def next_incarnation(self) -> int:
        """Returns a number that grows with every start; it is on disk when this returns.

        Raises:
          StorageError: the disk is full.
        """
        file = self.path / "incarnation"
        try:
            last = int(file.read_text())
        except FileNotFoundError:
            last = 0
        except (OSError, ValueError):
            # Peers ignore an earlier life, so a lost count must not start over: the clock is ahead.
            last = int(time.time())
            _LOG.warning("%s is damaged: counting on from %d", file, last)
        self._write(file, str(last + 1))
        return last + 1

    def set_loaded(self, model: LoadedModel) -> None:
        """Remembers which model is loaded.

        Raises:
          StorageError: the disk is full.
        """
        self._write(self.path / "loaded.json", json.dumps(asdict(model)))

    def loaded(self) -> LoadedModel | None:
        """Which model was loaded last, or None."""
        file = self.path / "loaded.json"
        try:
            raw = json.loads(file.read_text())
            return LoadedModel(
                str(raw["sha256"]), int(raw["threads"]), bool(raw["disable_xnnpack"])
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("%s is damaged, no model is loaded: %s", file, error)
            return None

    def release(self) -> None:
        """Lets another agent use the directory."""
        self._lock.close()

    def _write(self, file: Path, text: str) -> None:
        try:
            write_atomic(file, text.encode())
        except OSError as error:
            raise StorageError(f"{file}: cannot be written: {error.strerror}") from None
