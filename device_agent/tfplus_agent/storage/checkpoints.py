"""What a device has learned, on its disk: the newest checkpoints of one model.

Each checkpoint is one safetensors file, written to a temporary name, synced and renamed, so that a
crash leaves the one before. The newest two are kept; one that does not read back whole is set
aside.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.errors import DamagedFileError, TensorError
from tfplus.system.aside import remove
from tfplus.system.checked_json import shown
from tfplus.system.files import set_aside_name
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors, check_against
from tfplus_agent.storage import checkpoint_file, state_files
from tfplus_agent.storage.checkpoint_draft import CheckpointDraft
from tfplus_agent.storage.checkpoint_file import content_hash
from tfplus_agent.storage.epoch_position import EpochPosition

_LOG = logging.getLogger(__name__)
_NUMBER = re.compile(r"[0-9]{10,15}")
# What the protocol's 64 bits hold.
_STEP = re.compile(r"[0-9]{1,18}")
_SUFFIX = ".safetensors"
_KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """The training state of one model at one moment.

    Attributes:
      step: training steps behind it.
      tensors: every variable, name → array.
      position: the epoch that it lies in, where samples come and go; None elsewhere.
    """

    step: int
    tensors: SliceSet
    position: EpochPosition | None = None


@dataclass(frozen=True)
class _Known:
    """A checkpoint that was whole when it was written or read, and the hash of each tensor."""

    path: Path
    identity: tuple[int, int, int]
    hashes: dict[str, bytes]


@dataclass(frozen=True)
class StoredSlices:
    """Tensors that lie in a checkpoint; whoever gets them closes the file.

    Attributes:
      file: reads them, unchecked.
      hashes: name → SHA-256 that each must have.
    """

    file: checkpoint_file.OpenCheckpoint
    hashes: dict[str, bytes]


class CheckpointStore:
    """The checkpoints of one model in one directory.

    Args:
      directory: made when the first checkpoint is written.
      model_sha256: of the model; a checkpoint of another one is not taken.
      expected: name → (shape, dtype) of every variable of the model.
    """

    def __init__(
        self,
        directory: Path,
        model_sha256: str,
        expected: Mapping[str, tuple[tuple[int, ...], str]],
    ) -> None:
        self._directory = directory
        self._model_sha256 = model_sha256
        self._expected = expected
        self._known: _Known | None = None

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint; it is on disk when this returns.

        Returns:
          The file, which stays until two newer checkpoints have been written.

        Raises:
          StorageError: it cannot be written; those before it are untouched.
          TensorError: its tensors are not those of the model.
        """
        check_against(checkpoint.tensors, self._expected)
        position = checkpoint.position.text() if checkpoint.position is not None else ""
        with self.draft() as draft:
            draft.write(checkpoint.tensors)
            return self.finish(draft, checkpoint.step, checkpoint.tensors.hashes(), position)

    def draft(self) -> CheckpointDraft:
        """A checkpoint that is still to be written; a context manager, see `finish`.

        Raises:
          StorageError: the directory is not writable.
        """
        return CheckpointDraft(self._directory, self._expected)

    def finish(
        self, draft: CheckpointDraft, step: int, hashes: Mapping[str, bytes], position: str = ""
    ) -> Path:
        """Makes a draft, all of which was written, the newest checkpoint, as `save` does.

        Args:
          draft: of this store.
          step: training steps behind it.
          hashes: name → SHA-256 of every tensor.
          position: in an epoch; empty for none.

        Raises:
          StorageError: as of `save`.
        """
        metadata = {"model_sha256": self._model_sha256, "step": str(step)}
        if position:
            metadata["position"] = position
        metadata["content_sha256"] = content_hash(step, hashes, position)
        numbers = self._numbers()
        path = self._path(numbers[-1] + 1 if numbers else 1)
        draft.keep(path, metadata)
        try:
            for old in numbers[: 1 - _KEEP]:
                remove(self._path(old))
                set_aside_name(self._path(old)).unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s: an old checkpoint stays: %s", self._directory, error.strerror)
        self._know(path, dict(hashes))
        return path

    def newest(self) -> Path | None:
        """The file that was written, or read whole, last; None where somebody has touched it."""
        known = self._known
        try:
            intact = known is not None and _identity(known.path) == known.identity
        except OSError:
            intact = False
        return known.path if known is not None and intact else None

    def again(self, names: Sequence[str]) -> SliceSet | None:
        """Reads tensors of the checkpoint that was written, or read whole, last.

        Args:
          names: of the tensors.

        Returns:
          The tensors, unchecked, under the hashes that they must have; None where there is no such
          checkpoint, or somebody has touched its file since.
        """
        stored = self.stored(names)
        if stored is None:
            return None
        try:
            with stored.file as file:
                return SliceSet(file.tensors(), stored.hashes)
        except (TensorError, OSError):
            return None

    def stored(self, names: Sequence[str]) -> StoredSlices | None:
        """Does what `again` does, and leaves the reading to who takes the tensors."""
        known = self._known
        if known is None:
            return None
        try:
            file = checkpoint_file.OpenCheckpoint(known.path, names, self._expected)
        except (TensorError, OSError):
            return None
        if _identity_of(file.status) != known.identity:
            file.close()
            return None
        return StoredSlices(file, {name: known.hashes[name] for name in names})

    def load(self) -> Checkpoint | None:
        """Reads the newest checkpoint that is whole, or None when there is none.

        What is damaged is set aside.
        """
        for number in reversed(self._numbers()):
            path = self._path(number)
            try:
                return state_files.guarded(path, lambda path=path: self._read(path))
            except DamagedFileError:
                continue
            except OSError as error:
                _LOG.warning("%s: cannot be read, going on without it: %s", path, error)
        return None

    def _read(self, path: Path) -> Checkpoint:
        values, about = state_files.tensors(path, self._expected)
        if about.get("model_sha256") != self._model_sha256:
            raise DamagedFileError("it belongs to another model")
        checkpoint = checked(values, about)
        self._know(path, checkpoint.tensors.hashes())
        return checkpoint

    def _know(self, path: Path, hashes: dict[str, bytes]) -> None:
        try:
            self._known = _Known(path, _identity(path), hashes)
        except OSError:
            self._known = None

    def _numbers(self) -> list[int]:
        stems = (path.stem for path in self._directory.glob(f"*{_SUFFIX}"))
        return sorted(int(stem) for stem in stems if _NUMBER.fullmatch(stem))

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:010d}{_SUFFIX}"


def of_file(path: Path, expected: Mapping[str, tuple[tuple[int, ...], str]]) -> Checkpoint:
    """Reads one checkpoint's file, wherever it lies.

    Args:
      path: the file.
      expected: name → (shape, dtype) of every variable of its model.

    Raises:
      DamagedFileError: it is not what was written.
      OSError: it cannot be read.
    """
    return checked(*state_files.tensors(path, expected))


def checked(values: Tensors, about: Mapping[str, str]) -> Checkpoint:
    """Makes a checkpoint of what was read of its file.

    Args:
      values: name → array.
      about: what the file says of itself.

    Raises:
      DamagedFileError: the values are not those that were written.
    """
    text = about.get("step", "")
    if not _STEP.fullmatch(text):
        raise DamagedFileError(f"step: expected an integer, got {shown(text)}")
    tensors = SliceSet(values)
    position = about.get("position", "")
    if about.get("content_sha256") != content_hash(int(text), tensors.hashes(), position):
        raise DamagedFileError("its content does not match its SHA-256")
    return Checkpoint(int(text), tensors, EpochPosition.read(position) if position else None)


def _identity(path: Path) -> tuple[int, int, int]:
    return _identity_of(path.stat())


def _identity_of(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
