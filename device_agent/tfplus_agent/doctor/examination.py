"""All that `tfplus doctor` finds out, and what of it is in the way of training."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfplus import __version__
from tfplus.errors import UsageError
from tfplus.system import cores
from tfplus.wire.identity import certified_name
from tfplus.wire.tls import TlsFiles
from tfplus_agent.doctor.accelerators import Tried, try_all
from tfplus_agent.doctor.patient import Patient
from tfplus_agent.gpu import vulkan
from tfplus_agent.telemetry import processor
from tfplus_agent.telemetry.sensor import Reading
from tfplus_agent.telemetry.sensors.registry import SENSORS

# A model, two checkpoints and a log.
_DISK_LOW_BYTES = 100_000_000
_PACKAGES = (
    "ai-edge-litert",
    "grpcio",
    "grpcio-health-checking",
    "numpy",
    "protobuf",
    "safetensors",
    "tflite-runtime",
)


@dataclass(frozen=True)
class Storage:
    """Where an agent would keep its state.

    Attributes:
      path: the directory.
      problem: why nothing can be kept there; empty where something can.
      free_bytes: of its file system; None where that cannot be told.
    """

    path: Path
    problem: str
    free_bytes: int | None


@dataclass(frozen=True)
class Certificates:
    """What an agent would show its peers.

    Attributes:
      path: the directory.
      name: that peers will read in it; empty where they would refuse it.
      problem: why they would.
    """

    path: Path
    name: str
    problem: str


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
      model: name of the model that was trained.
      accelerators: every way to train, tried.
      gpus: what the Vulkan loader lists, and why it is nothing.
      gpus_absent_reason: why there are none.
      processor: cores and their speeds.
      usable_cores: that this process may use.
      threads: that an agent takes where nobody says how many.
      readings: of every sensor, with or without a value.
      storage: the state directory.
      certificates: None where none were asked about.
      versions: of Python, the system and the packages; None for one that is not installed.
    """

    model: str
    accelerators: list[Tried]
    gpus: list[vulkan.VulkanDevice]
    gpus_absent_reason: str
    processor: processor.Processor
    usable_cores: int
    threads: int
    readings: list[Reading]
    storage: Storage
    certificates: Certificates | None
    versions: dict[str, str | None]

    @property
    def trains(self) -> bool:
        """Whether anything computes what it should."""
        return any(tried.status == "right" for tried in self.accelerators)

    @property
    def runtime_installed(self) -> bool:
        """Whether there is a runtime at all."""
        return any(tried.status != "absent" for tried in self.accelerators)

    @property
    def problems(self) -> list[str]:
        """What is in the way of an agent on this device; empty where nothing is."""
        found: list[str] = []
        if not self.runtime_installed:
            found.append("no runtime is installed: pip install 'tfplus[agent]'")
        elif not self.trains:
            found.append("nothing on this device computes a training step rightly")
        if self.storage.problem:
            found.append(f"state directory {self.storage.path}: {self.storage.problem}")
        if self.certificates is not None and self.certificates.problem:
            found.append(self.certificates.problem)
        return found

    @property
    def warnings(self) -> list[str]:
        """What an agent avoids by itself, or what may get in its way later."""
        found = [
            f"{tried.name} ({tried.runtime}): {tried.says}"
            for tried in self.accelerators
            if tried.status in ("wrong", "fails")
        ]
        free = self.storage.free_bytes
        if free is not None and free < _DISK_LOW_BYTES:
            found.append(f"state directory {self.storage.path}: {free / 1e6:.0f} MB are free")
        return found


def examine(
    patient: Patient,
    state_dir: Path,
    tls_dir: Path | None,
    threads: int,
    progress: Callable[[str], None],
) -> Examination:
    """Tries and reads everything.

    Args:
      patient: what is trained to try an accelerator.
      state_dir: where an agent would keep its state.
      tls_dir: its certificates, if any.
      threads: of the interpreter; 0 for every core.
      progress: told what is being done.
    """
    accelerators = try_all(patient, threads, progress)
    listed, none = vulkan.devices()
    return Examination(
        patient.read.manifest.name,
        accelerators,
        listed,
        none,
        processor.read(),
        cores.usable(),
        cores.performance(),
        [reading for sensor in SENSORS for reading in sensor.read()],
        storage(state_dir),
        certificates(tls_dir) if tls_dir else None,
        versions(),
    )


def storage(directory: Path) -> Storage:
    """Tries to write in a directory, or in the one that it would be made in; leaves nothing."""
    there = directory
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
        return Storage(directory, "", shutil.disk_usage(there).free)
    except OSError as error:
        return Storage(directory, f"{there} cannot be written to: {error.strerror}", None)


def certificates(directory: Path) -> Certificates:
    """Has a certificate accepted by a peer of the same CA."""
    try:
        return Certificates(directory, certified_name(TlsFiles.load(directory)), "")
    except UsageError as error:
        return Certificates(directory, "", str(error))


def versions() -> dict[str, str | None]:
    """Of Python, the system and the packages."""
    found: dict[str, str | None] = {
        "tfplus": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": f"{platform.machine()}, {64 if sys.maxsize > 2**32 else 32} bits",
    }
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
