"""Agents on machines of their own, that are killed, stopped, and started again where they were."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from churn.network import Network
from tfplus.fleet.clients.client import AgentClient

_PORT = 7001
_READY_S = 120.0
# As without the launcher.
_SILENCE_S = "60"
_DAY_S = 86_400


class Fleet:
    """Agents on a network of their own; a context manager that ends all of them.

    Args:
      network: has a machine for each of them.
      folder: each keeps its state and its log in a folder of its name in here.
      data: agent → its training data.
      eval_data: of all.
    """

    def __init__(
        self, network: Network, folder: Path, data: dict[str, Path], eval_data: Path
    ) -> None:
        self._network = network
        self._folder = folder
        self._data = data
        self._eval_data = eval_data
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.addresses = {n: f"{network.addresses[n]}:{_PORT}" for n in data}

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
        arguments += ["--listen", self.addresses[name], "--insecure"]
        arguments += ["--state-dir", str(folder / "state")]
        launched = [sys.executable, "-m", "chaos.launcher", "agent", *arguments]
        with (folder / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self._network.command(name), *launched],
                env={
                    **os.environ,
                    "CHAOS_SILENCE_S": _SILENCE_S,
                    "CHAOS_CLOCK": str(folder / "clock"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self, name: str) -> None:
        """Waits until an agent serves."""
        file, until = self._folder / name / "ready.json", time.monotonic() + _READY_S
        while not file.exists():
            if self._processes[name].poll() is not None or time.monotonic() > until:
                raise SystemExit((self._folder / name / "log").read_text(errors="replace"))
            time.sleep(0.05)

    def move_clock(self, name: str, days: int) -> None:
        """Puts an agent's wall clock so many days ahead, from now on and in all its lives."""
        file = self._folder / name / "clock"
        aside = file.with_suffix(".new")
        aside.write_text(str(days * _DAY_S))
        aside.rename(file)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to an agent's daemon."""
        self._processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kills an agent, and waits until it is dead."""
        self._processes[name].kill()
        self._processes[name].wait()

    def client(self, name: str) -> AgentClient:
        """A connection to an agent."""
        return AgentClient(self.addresses[name], insecure=True, timeout_s=120.0)
