"""How far each slice of the weights moved: norms from files, one slice in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from tfplus.model_file.manifest import Manifest
from tfplus.proto.v1.reports_pb2 import SliceReport
from tfplus.system.files import link_atomic
from tfplus.tensors.slices import Tensor
from tfplus_agent.storage.checkpoint_file import OpenCheckpoint

_FILE = re.compile(r"weights-(\d+)\.safetensors")


class Settling(Protocol):
    """What the norms need of the device."""

    @property
    def manifest(self) -> Manifest:
        """Of the loaded model."""
        ...

    def settle(self, keep: Callable[[Path], None] = ...) -> None:
        """Brings all to disk, and tells in which file it is."""
        ...


class SliceNorms:
    """Norms of a job's weights and updates.

    Checkpoints of its beginning and of its last epoch's end stay in the job's directory, so that
    norms are those of a whole epoch, and a whole job, also after a crash.

    Args:
      directory: of the job.
      device: that trains.
    """

    def __init__(self, directory: Path, device: Settling) -> None:
        self._directory = directory
        self._device = device

    def begin(self) -> None:
        """Remembers the weights before the first step."""
        self._keep(0)

    def of_epoch(self, steps: int) -> list[SliceReport]:
        """Norms since the epoch before ended; remembers the weights for the next one.

        Args:
          steps: of the job that are behind the weights.
        """
        before = [n for n in self._kept() if n < steps]
        found = self._between(self._path(max(before)), self._keep(steps)) if before else []
        for number in before:
            if number:
                self._path(number).unlink(missing_ok=True)
        return found

    def of_job(self) -> list[SliceReport]:
        """Norms since the job began."""
        kept = self._kept()
        if 0 not in kept:
            return []
        now = self._directory / "weights-now.safetensors"
        self._device.settle(lambda file: link_atomic(file, now))
        return self._between(self._path(0), now)

    def _between(self, before: Path, after: Path) -> list[SliceReport]:
        expected = self._device.manifest.expected(weights_only=True)
        found: list[SliceReport] = []
        for name in expected:
            old, new = (_read(file, name, expected).astype(np.float64) for file in (before, after))
            found.append(
                SliceReport(
                    name=name,
                    elements=new.size,
                    weight_norm=float(np.linalg.norm(new.ravel())),
                    update_norm=float(np.linalg.norm((new - old).ravel())),
                )
            )
        return found

    def _keep(self, steps: int) -> Path:
        path = self._path(steps)
        self._device.settle(lambda file: link_atomic(file, path))
        return path

    def _path(self, steps: int) -> Path:
        return self._directory / f"weights-{steps}.safetensors"

    def _kept(self) -> list[int]:
        found = (_FILE.fullmatch(file.name) for file in self._directory.iterdir())
        return [int(match[1]) for match in found if match]


def _read(file: Path, name: str, expected: Mapping[str, tuple[tuple[int, ...], str]]) -> Tensor:
    with OpenCheckpoint(file, [name], expected) as opened:
        return opened.tensors()[name]
