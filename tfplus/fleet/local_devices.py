"""Devices of a run of tiles as processes of this machine, each with a port on loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tfplus.errors import WorkerError
from tfplus.system import child_process

_MODULE = "tfplus.tiles.process.serve"
_STOP_S = 5.0


@dataclass(frozen=True)
class LocalDevice:
    """A process that serves tiles.

    Attributes:
      process: it.
      address: where it listens.
      enforced: whether the kernel holds it to the memory that was asked for.
    """

    process: subprocess.Popen[bytes]
    address: str
    enforced: bool


class LocalDevices:
    """Starts devices and ends them on exit; a context manager.

    They end with the thread that starts them, too, whatever becomes of it.

    Args:
      count: how many.
      memory_bytes: how much more than an idle device each may take; None for no limit.
      log: folder that what they say goes to.
      hosts: loopback address of each; None for the same one.

    Raises:
      WorkerError: one does not start.
    """

    def __init__(
        self,
        count: int,
        memory_bytes: int | None,
        log: Path,
        hosts: Sequence[str] | None = None,
    ) -> None:
        self.devices: list[LocalDevice] = []
        started: list[subprocess.Popen[bytes]] = []
        limit = [] if memory_bytes is None else ["--memory", str(memory_bytes)]
        try:
            for number in range(count):
                host = [] if hosts is None else ["--host", hosts[number]]
                with (log / f"device-{number}.log").open("wb") as out:
                    started.append(
                        subprocess.Popen(  # noqa: S603 (this very Python and module)
                            child_process.command(_MODULE, *limit, *host),
                            stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE,
                            stderr=out,
                            # Ctrl-C reaches the leader alone, which ends the others.
                            start_new_session=True,
                        )
                    )
            for number, process in enumerate(started):
                self.devices.append(_listening(process, log / f"device-{number}.log"))
        except BaseException:
            _stop(started)
            raise

    def __enter__(self) -> LocalDevices:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _stop([device.process for device in self.devices])


def _listening(process: subprocess.Popen[bytes], log: Path) -> LocalDevice:
    line = b"" if process.stdout is None else process.stdout.readline()
    try:
        said = json.loads(line)
        return LocalDevice(process, str(said["address"]), bool(said["enforced"]))
    except (ValueError, KeyError, TypeError):
        text = log.read_text("utf-8", "replace").strip().splitlines() if log.is_file() else []
        why = text[-1] if text else "it said nothing"
        raise WorkerError(f"a device of tiles did not start: {why}") from None


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
