"""Agents on this machine as child processes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tfplus.demo.children import Children
from tfplus.errors import RemoteError


class LocalAgents:
    """Starts `tfplus agent` processes on loopback.

    Args:
      children: ends them.
      folder: each agent keeps its state and its log in a folder of its name in here.
    """

    def __init__(self, children: Children, folder: Path) -> None:
        self._children = children
        self._folder = folder
        self._agents: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, data: Path, eval_data: Path) -> None:
        """Starts one agent; `address` tells when it serves."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        arguments = ["agent", "--name", name, "--data", str(data)]
        arguments += ["--eval-data", str(eval_data), "--listen", "127.0.0.1:0"]
        arguments += ["--threads", "1", "--state-dir", str(folder / "state")]
        arguments += ["--ready-file", str(folder / "ready.json")]
        self._agents[name] = self._children.start("tfplus", arguments, folder / "log")

    def address(self, name: str, timeout_s: float = 60.0) -> str:
        """Waits until the agent serves and returns its `host:port`.

        Raises:
          RemoteError: it ended, or does not serve in time.
        """
        ready = self._folder / name / "ready.json"
        for _ in _poll(timeout_s):
            if ready.exists():
                return str(json.loads(ready.read_text())["address"])
            if self._agents[name].poll() is not None:
                break
        said = last_line(self._folder / name / "log")
        raise RemoteError(f"agent '{name}' does not serve: {said}")


def last_line(log: Path) -> str:
    """What a process said last."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def _poll(timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
