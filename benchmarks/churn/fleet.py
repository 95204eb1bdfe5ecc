"""Agents in processes of their own, that are killed, stopped, and started again where they were."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tfplus.fleet.clients.client import AgentClient

COMMAND = "from tfplus.cli.main import main; main()"
_READY_S = 120.0


class Fleet:
    """Agents on loopback; a context manager that ends all of them.

    Args:
      folder: each keeps its state and its log in a folder of its name in here.
      data: agent → its training data.
      eval_data: of all.
    """

    def __init__(self, folder: Path, data: dict[str, Path], eval_data: Path) -> None:
        self._folder = folder
        self._data = data
        self._eval_data = eval_data
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._processes:
            with contextlib.suppress(ProcessLookupError):
                self.signal(name, signal.SIGCONT)
            self._processes[name].kill()
            self._processes[name].wait()

    def start(self, name: str) -> None:
        """Starts an agent, or starts it again where it was; `ready` waits for it."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        arguments = ["--name", name, "--data", str(self._data[name]), "--threads", "1"]
        arguments += ["--eval-data", str(self._eval_data), "--ready-file", str(ready)]
        arguments += ["--listen", self.addresses.get(name, "127.0.0.1:0")]
        arguments += ["--state-dir", str(folder / "state")]
        with (folder / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-c", COMMAND, "agent", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self, name: str) -> str:
        """Waits until an agent serves; returns its address."""
        file, until = self._folder / name / "ready.json", time.monotonic() + _READY_S
        while not file.exists():
            if self._processes[name].poll() is not None or time.monotonic() > until:
                raise SystemExit((self._folder / name / "log").read_text(errors="replace"))
            time.sleep(0.05)
        self.addresses[name] = str(json.loads(file.read_text())["address"])
        return self.addresses[name]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to an agent's daemon."""
        self._processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kills an agent, and waits until it is dead."""
        self._processes[name].kill()
        self._processes[name].wait()

    def client(self, name: str) -> AgentClient:
        """A connection to an agent."""
        return AgentClient(self.addresses[name], timeout_s=30.0)
