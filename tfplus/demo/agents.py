"""Agents on this machine as child processes, which end with whoever started them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tfplus.errors import RemoteError

_STOP_S = 10.0


class LocalAgents:
    """Starts `tfplus agent` processes on loopback and stops them all on exit.

    Args:
      folder: each agent keeps its state and its log in a folder of its name in here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> LocalAgents:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, name: str, data: Path, eval_data: Path) -> None:
        """Starts one agent; `address` tells when it serves."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "tfplus", "agent", "--name", name, "--data", str(data)]
        command += ["--eval-data", str(eval_data), "--listen", "127.0.0.1:0"]
        command += ["--threads", "1", "--state-dir", str(folder / "state")]
        command += ["--ready-file", str(folder / "ready.json"), "--end-with-parent"]
        with (folder / "log").open("wb") as log:
            # A session of its own: Ctrl-C reaches this process alone, which then ends the others.
            self._children[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def address(self, name: str, timeout_s: float = 60.0) -> str:
        """Waits until the agent serves and returns its `host:port`.

        Raises:
          RemoteError: it ended, or does not serve in time.
        """
        ready, child = self._folder / name / "ready.json", self._children[name]
        for _ in _poll(timeout_s):
            if ready.exists():
                return str(json.loads(ready.read_text())["address"])
            if child.poll() is not None:
                break
        log = (self._folder / name / "log").read_text(errors="replace").strip().splitlines()
        raise RemoteError(f"agent '{name}' does not serve: {log[-1] if log else 'it said nothing'}")

    def stop(self) -> None:
        """Asks every agent to end, and ends those that do not."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for child in self._children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()


def _poll(timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
