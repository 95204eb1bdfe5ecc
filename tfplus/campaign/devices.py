"""Where a campaign runs: this machine, and agents; one interface for both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from tfplus.benchmark import own_process
from tfplus.benchmark.own_process import OwnProcess
from tfplus.benchmark.repetition import Answer, Measure, Request
from tfplus.campaign.planning.plan import LOCAL
from tfplus.errors import RemoteError, UnreachableError
from tfplus.fleet.clients.benchmark_client import BenchmarkClient
from tfplus.measure import environment
from tfplus.measure.result import Environment
from tfplus.system import memory
from tfplus.wire.tls import TlsFiles

_REACHED_WITHIN_S = 10.0


class Device(Protocol):
    """Something that measures. `stop` may be called from any thread, the rest from one.

    Attributes:
      environment: what it is.
      memory_bytes: that a process may use there.
    """

    environment: Environment
    memory_bytes: int

    def measure(self, request: Request, model: Path, sha256: str, timeout_s: float) -> Answer:
        """Runs one repetition.

        Args:
          request: what to run; `path` is the device's own business.
          model: the file, on this machine.
          sha256: of the file.
          timeout_s: of the repetition, waiting for gates not counted.

        Raises:
          RemoteError: the device cannot be reached, or refused.
          WorkerError: the repetition failed.
        """
        ...

    def is_back(self, timeout_s: float) -> bool:
        """Whether a device that could not be reached can be again, within so many seconds."""
        ...

    def stop(self) -> None:
        """Ends the repetition under way; nothing more is measured."""
        ...


Open = Callable[[str, str], Device]
"""(name, address) → the device; raises RemoteError where it cannot be reached."""


class Local:
    """This machine.

    Args:
      measure: runs a repetition; None for a fresh process each.
      here: what this machine is; None to read it.
      memory_bytes: None to ask the system.
    """

    def __init__(
        self,
        measure: Measure | None = None,
        here: Environment | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.environment = here or environment.read()
        self.memory_bytes = memory.total_bytes() if memory_bytes is None else memory_bytes
        self._measure = measure or self._in_own_process
        self._lock = threading.Lock()
        self._running: OwnProcess | None = None

    def measure(self, request: Request, model: Path, sha256: str, timeout_s: float) -> Answer:
        """See `Device`."""
        return self._measure(request, timeout_s)

    def is_back(self, timeout_s: float) -> bool:
        """See `Device`."""
        return True

    def stop(self) -> None:
        """See `Device`."""
        with self._lock:
            if self._running is not None:
                self._running.kill()

    def _in_own_process(self, request: Request, timeout_s: float) -> Answer:
        with self._lock:
            self._running = own_process.OwnProcess(request, timeout_s)
        return self._running.run()


class Agent:
    """An agent.

    Args:
      address: `host:port`.
      tls: own certificate files; None for plaintext.
      insecure: plaintext also beyond this machine.
      timeout_s: to reach it.

    Raises:
      RemoteError: it cannot be reached, or does not measure.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = _REACHED_WITHIN_S,
    ) -> None:
        self._client = BenchmarkClient(address, tls, insecure=insecure)
        try:
            self._client.wait_ready(timeout_s)
            self.environment, self.memory_bytes = self._client.environment()
        except BaseException:
            self._client.close()
            raise

    def measure(self, request: Request, model: Path, sha256: str, timeout_s: float) -> Answer:
        """See `Device`."""
        return self._client.measure(request, model, sha256, timeout_s)

    def is_back(self, timeout_s: float) -> bool:
        """See `Device`."""
        try:
            self._client.wait_ready(timeout_s)
        except UnreachableError:
            return False
        return True

    def stop(self) -> None:
        """See `Device`."""
        self._client.close()


def memories(
    addresses: Mapping[str, str], open_device: Open
) -> tuple[dict[str, int], dict[str, str]]:
    """Bytes of memory by device, and of those that cannot be reached why."""
    found: dict[str, int] = {}
    unreached: dict[str, str] = {}
    for name, address in addresses.items():
        try:
            device = open_device(name, address)
        except RemoteError as error:
            unreached[name] = str(error)
            continue
        found[name] = device.memory_bytes
        device.stop()
    return found, unreached


def opener(tls: TlsFiles | None = None, *, insecure: bool = False) -> Open:
    """What opens devices by their addresses."""

    def open_device(name: str, address: str) -> Device:
        return Local() if address == LOCAL else Agent(address, tls, insecure=insecure)

    return open_device
