"""What a device has learned, on its disk: the newest checkpoints of one model.

Each checkpoint is one safetensors file, written to a temporary name, synced and renamed, so that a
crash leaves the one before. The newest two are kept; one that does not read back whole is passed
over.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from tfplus.errors import TensorError, TfplusError
from tfplus.system.files import write_atomic
from tfplus.tensors.slices import Tensor, Tensors, check_against
from tfplus.wire.tensors import tensor_hash

_LOG = logging.getLogger(__name__)
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
    tensors: dict[str, Tensor]


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

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint; it is on disk when this returns.

        Raises:
          StorageError: it cannot be written; those before it are untouched.
          TensorError: its tensors are not those of the model.
        """
        check_against(checkpoint.tensors, self._expected)
        tensors = {n: np.ascontiguousarray(t) for n, t in checkpoint.tensors.items()}
        content = to_safetensors(
            tensors,
            {
                "model_sha256": self._model_sha256,
                "step": str(checkpoint.step),
                "content_sha256": _content_hash(checkpoint.step, tensors),
            },
        )
        numbers = self._numbers()
        number = numbers[-1] + 1 if numbers else 1
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(number), content)
            for old in [*numbers, number][:-_KEEP]:
                self._path(old).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self._directory}: cannot write a checkpoint of {len(content)} bytes: "
                f"{error.strerror or error}; the last one, if any, is intact: free some space and "
                "try again"
            ) from None

    def load(self) -> Checkpoint | None:
        """Reads the newest checkpoint that is whole, or None when there is none."""
        for number in reversed(self._numbers()):
            try:
                return self._read(self._path(number))
            except (SafetensorError, TensorError, OSError, KeyError, ValueError) as error:
                _LOG.warning(
                    "%s: this checkpoint is damaged, going on from the one before: %s",
                    self._path(number),
                    error,
                )
        return None

    def _read(self, path: Path) -> Checkpoint:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
        check_against(tensors, self._expected)
        if about["model_sha256"] != self._model_sha256:
            raise TensorError("it belongs to another model")
        step = int(about["step"])
        if about["content_sha256"] != _content_hash(step, tensors):
            raise TensorError("its content does not match its SHA-256")
        return Checkpoint(step, tensors)

    def _numbers(self) -> list[int]:
        stems = (path.stem for path in self._directory.glob(f"*{_SUFFIX}"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:010d}{_SUFFIX}"


def _content_hash(step: int, tensors: Tensors) -> str:
    digest = hashlib.sha256(str(step).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + b"\0" + tensor_hash(tensors[name]))
    return digest.hexdigest()
