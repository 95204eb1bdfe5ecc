"""The agent's state directory: who uses it, how often it was started, which model it had loaded."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.errors import BusyError, DamagedFileError, UsageError
from tfplus.runtime.interpreter import MAX_THREADS
from tfplus.system.aside import PART
from tfplus.system.checked_json import Fields, parse, shown
from tfplus.system.files import PRIVATE, write_atomic
from tfplus_agent.storage import state_files
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.models import is_address

_LOG = logging.getLogger(__name__)
# What the protocol's 64 bits hold, with room for every start to come.
_COUNT = re.compile(rb"[0-9]{1,18}")
_MAX_PID_CHARS = 20
# No pattern that could meet a file of someone else, should the directory be shared.
_HALF_WRITTEN = (
    f".incarnation.*{PART}",
    f".loaded.json.*{PART}",
    f"models/*{PART}",
    f"checkpoints/*/.*{PART}",
    f"gossip/.last.*{PART}",
    f"gossip/*/.*{PART}",
    f"jobs/*/.*{PART}",
)


@dataclass(frozen=True)
class LoadedModel:
    """What the last LoadModel asked for.

    Attributes:
      sha256: address of the model.
      threads: of the interpreter; 0 for every core.
      disable_xnnpack: whether XNNPACK is left out.
      scaling: of the data's values, instead of what the model's file declares.
    """

    sha256: str
    threads: int
    disable_xnnpack: bool
    scaling: Scaling | None = None


class StateDirectory:
    """A state directory that one agent uses.

    Args:
      path: made when it is missing; what a killed agent left half written there is removed.

    Raises:
      BusyError: another agent uses it.
      UsageError: it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "lock").open("a+", errors="replace")
        except OSError as error:
            raise UsageError(f"{path}: cannot be the state directory: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read(_MAX_PID_CHARS).strip() or "unknown"
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
        self._sweep()

    def next_incarnation(self) -> int:
        """Returns a number that grows with every start; it is on disk when this returns.

        Raises:
          StorageError: the disk is full.
        """
        file = self.path / "incarnation"
        try:
            last = state_files.read(file, _incarnation, 64)
        except FileNotFoundError:
            last = 0
        except (DamagedFileError, OSError):
            # Peers ignore an earlier life, so a lost count must not start over: the clock is ahead.
            last = int(time.time())
            _LOG.warning("%s cannot be read: counting on from %d", file, last)
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
        return state_files.optional(
            self.path / "loaded.json", lambda content: loaded_model(Fields(parse(content)))
        )

    def release(self) -> None:
        """Lets another agent use the directory."""
        self._lock.close()

    def _sweep(self) -> None:
        # Nobody else uses the directory: these are of an agent that was killed while it wrote.
        for left in (file for pattern in _HALF_WRITTEN for file in self.path.glob(pattern)):
            try:
                left.unlink()
            except OSError as error:
                _LOG.warning("%s: left by a crash, cannot be removed: %s", left, error.strerror)

    def _write(self, file: Path, text: str) -> None:
        try:
            write_atomic(file, text.encode(), mode=PRIVATE)
        except OSError as error:
            raise StorageError(f"{file}: cannot be written: {error.strerror}") from None


def _incarnation(content: bytes) -> int:
    text = content.strip()
    if not _COUNT.fullmatch(text):
        raise DamagedFileError(f"expected an integer of at most 18 digits, got {shown(content)}")
    return int(text)


def loaded_model(fields: Fields) -> LoadedModel:
    """Reads what `asdict` made of a LoadedModel.

    Raises:
      DamagedFileError: it holds something else.
    """
    sha256 = fields.text("sha256")
    if not is_address(sha256):
        raise fields.wrong("sha256", "64 hex digits", sha256)
    threads = fields.integer("threads", 0, MAX_THREADS)
    loaded = LoadedModel(sha256, threads, fields.boolean("disable_xnnpack"))
    # An agent from before there were scalings wrote none.
    if "scaling" not in fields or fields.is_null("scaling"):
        return loaded
    given = fields.object("scaling")
    try:
        return replace(loaded, scaling=Scaling(given.number("scale"), given.number("offset")))
    except UsageError as error:
        raise DamagedFileError(f"scaling: {error}") from None
