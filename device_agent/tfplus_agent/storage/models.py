"""Models on the device, each under the SHA-256 of its file."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tfplus.errors import ArtifactError, TensorError
from tfplus.model_file import artifact
from tfplus.system.aside import PART, sync_directory
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus_agent.storage.checkpoint_draft import StorageError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_address(text: str) -> bool:
    """Whether it has the form of a SHA-256."""
    return _SHA256.fullmatch(text) is not None


class ModelStore:
    """A directory of exported files; one that is there is whole and was checked.

    Args:
      directory: made when it is missing.
      limits: caps on an upload.
    """

    def __init__(self, directory: Path, limits: Limits = DEFAULT_LIMITS) -> None:
        self._directory = directory
        self._limits = limits
        directory.mkdir(parents=True, exist_ok=True)

    def __contains__(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def path(self, sha256: str) -> Path:
        """Where the model of that address lies, or would.

        Raises:
          ArtifactError: it is no SHA-256; nothing else ever becomes part of a path.
        """
        if not is_address(sha256):
            raise ArtifactError(f"model '{sha256[:80]}': expected a SHA-256, 64 hex digits")
        return self._directory / f"{sha256}.tflite"

    def addresses(self) -> list[str]:
        """Addresses of all models."""
        stems = (path.stem for path in self._directory.glob("*.tflite"))
        return [stem for stem in stems if is_address(stem)]

    def last_used_ns(self, sha256: str) -> int:
        """Orders models by when they came or were used last; 0 for one that is not here."""
        try:
            return self.path(sha256).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def use(self, sha256: str) -> None:
        """Notes that a model is used now.

        Raises:
          OSError: it cannot be noted.
        """
        # A device without a clock of its own starts in the past: the last is the last all the same.
        latest = max((self.last_used_ns(a) for a in self.addresses() if a != sha256), default=0)
        now = max(time.time_ns(), latest + 1)
        os.utime(self.path(sha256), ns=(now, now))

    def add(self, sha256: str, size_bytes: int, chunks: Iterable[bytes]) -> None:
        """Takes in a model; it is visible, and on disk, only when all of it was checked.

        Args:
          sha256: hash of the whole file.
          size_bytes: length of the whole file.
          chunks: its content.

        Raises:
          ArtifactError: size or hash differ, or it is no exported file.
          TensorError: a cap is passed.
          StorageError: the disk is full.
        """
        path = self.path(sha256)
        if not 0 < size_bytes <= self._limits.model_bytes:
            raise TensorError(
                f"model of {size_bytes} bytes: expected 1 to {self._limits.model_bytes}"
            )
        try:
            handle, name = tempfile.mkstemp(dir=self._directory, suffix=PART)
        except OSError as error:
            raise StorageError(f"{self._directory}: {error.strerror}") from None
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                digest, received = hashlib.sha256(), 0
                for chunk in chunks:
                    received += len(chunk)
                    if received > size_bytes:
                        raise ArtifactError(f"upload: expected {size_bytes} bytes, more came")
                    if len(chunk) > self._limits.chunk_bytes:
                        raise TensorError(
                            f"upload: chunk of {len(chunk)} bytes is above "
                            f"{self._limits.chunk_bytes}"
                        )
                    digest.update(chunk)
                    file.write(chunk)
                if received != size_bytes:
                    raise ArtifactError(
                        f"upload: expected {size_bytes} bytes, it ended after {received}: "
                        "send the file again"
                    )
                if digest.hexdigest() != sha256:
                    raise ArtifactError(
                        f"upload: expected a file with SHA-256 {sha256}, "
                        f"got {digest.hexdigest()}: send the file again"
                    )
                file.flush()
                os.fsync(file.fileno())
            _check(temporary)
            temporary.replace(path)
            self.use(sha256)
            sync_directory(self._directory)
        except OSError as error:
            raise StorageError(f"upload: {path.name} cannot be kept: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)

    def open(self, sha256: str) -> artifact.Artifact:
        """Reads a model that is there.

        Raises:
          ArtifactError: it is not there, or its file was damaged (and is then removed).
        """
        path = self.path(sha256)
        if not path.is_file():
            raise ArtifactError(f"model {sha256}: not on this agent: upload it first")
        try:
            read = artifact.read(path)
        except ArtifactError as error:
            path.unlink(missing_ok=True)
            raise ArtifactError(f"{error}; it was removed: upload it again") from None
        if read.sha256 != sha256:
            path.unlink(missing_ok=True)
            raise ArtifactError(f"model {sha256}: damaged on disk and removed: upload it again")
        return read


def _check(temporary: Path) -> None:
    try:
        artifact.read(temporary)
    except ArtifactError as error:
        # The name of the temporary file means nothing to whoever sent it.
        raise ArtifactError(str(error).replace(str(temporary), "upload")) from None
