"""What a device has learned, on its disk: the newest checkpoints of one model.

Each checkpoint is one safetensors file, written to a temporary name, synced and renamed, so that a
crash leaves the one before. The newest two are kept; one that does not read back whole is set
aside.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfplus.errors import DamagedFileError, TensorError, TfplusError
from tfplus.system.checked_json import shown
from tfplus.system.files import set_aside_name, write_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors, check_against
from tfplus_agent.storage import checkpoint_file, state_files
from tfplus_agent.storage.checkpoint_file import content_hash, pieces

_LOG = logging.getLogger(__name__)
_NUMBER = re.compile(r"[0-9]{10,15}")
# What the protocol's 64 bits hold.
_STEP = re.compile(r"[0-9]{1,18}")
_SUFFIX = ".safetensors"
_KEEP = 2


class StorageError(TfplusError):
    """The device's disk is full, or not writable."""

    exit_code = 7
    status = "RESOURCE_EXHAUSTED"


@dataclass(frozen=True)
class Checkpoint:
    """The training state of one model at one moment.

    Attributes:
      step: training steps behind it.
      tensors: every variable, name → array.
    """

    step: int
    tensors: SliceSet


@dataclass(frozen=True)
class _Known:
    """A checkpoint that was whole when it was written or read, and the hash of each tensor."""

    path: Path
    identity: tuple[int, int, int]
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
        tensors = checkpoint.tensors
        digests = tensors.hashes()
        metadata = {
            "model_sha256": self._model_sha256,
            "step": str(checkpoint.step),
            "content_sha256": content_hash(checkpoint.step, digests),
        }
        numbers = self._numbers()
        path = self._path(numbers[-1] + 1 if numbers else 1)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_atomic(path, pieces(tensors, metadata))
            for old in numbers[: 1 - _KEEP]:
                self._path(old).unlink(missing_ok=True)
                set_aside_name(self._path(old)).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self._directory}: cannot write a checkpoint of {tensors.size_bytes} bytes: "
                f"{error.strerror or error}; the last one, if any, is intact: free some space and "
                "try again"
            ) from None
        self._know(path, digests)
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
        known = self._known
        if known is None or self.newest() is None:
            return None
        try:
            tensors = checkpoint_file.read(known.path, names, self._expected)
        except (TensorError, OSError):
            return None
        return SliceSet(tensors, known.hashes)

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
    if about.get("content_sha256") != content_hash(int(text), tensors.hashes()):
        raise DamagedFileError("its content does not match its SHA-256")
    return Checkpoint(int(text), tensors)


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
