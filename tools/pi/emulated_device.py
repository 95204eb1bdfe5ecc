"""An emulated Raspberry Pi and the agent on it, as scripts/arm64-run shows them to this machine.

One folder of this machine is the device's /mnt: its home, its installation and its sockets.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.wire.tls import TlsFiles

ROOT = Path(__file__).parents[2]
_START_S, _STOP_S = 300.0, 120.0
_WATCHDOG_S = 30
_MAX_DATAGRAM = 4096


class EmulatedDevice:
    """A device whose /mnt is a folder of this machine.

    Args:
      folder: empty.
      pi: 4 or 5.
    """

    def __init__(self, folder: Path, pi: str) -> None:
        self.folder = folder
        self._prefix = [str(ROOT / "scripts" / "arm64-run"), "--pi", pi, "--bind", str(folder)]
        # Of the installed wheel, not of the clone that arm64-run shows.
        self._prefix += ["env", "--unset=PYTHONPATH", "HOME=/mnt/home"]
        (folder / "home").mkdir()

    def run(self, *command: str) -> str:
        """Runs a command to its end and returns what it printed.

        Raises:
          CalledProcessError: it failed.
        """
        return subprocess.run(
            [*self._prefix, *command], check=True, capture_output=True, text=True
        ).stdout

    def tfplus(self, *arguments: str) -> str:
        """Runs a command of the installed tfplus."""
        return self.run("/mnt/venv/bin/tfplus", *arguments)

    def open(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command of the installed tfplus, whose output is read as it comes."""
        command = [*self._prefix, "/mnt/venv/bin/tfplus", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def start(self, command: Sequence[str], tls: TlsFiles) -> RunningAgent:
        """Starts an agent as systemd would, and waits until it says that it serves.

        Args:
          command: of the unit.
          tls: of this machine, for the connection to it.

        Raises:
          RemoteError: it ended, or did not serve in time.
        """
        path = self.folder / "notify"
        path.unlink(missing_ok=True)
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inbox.bind(str(path))
        told = ["NOTIFY_SOCKET=/mnt/notify", f"WATCHDOG_USEC={_WATCHDOG_S * 1_000_000}"]
        log = (self.folder / "agent.log").open("ab")
        with log:
            # Each program of the chain turns into the next, so that this is the agent's own id.
            process = subprocess.Popen([*self._prefix, *told, *command], stdout=log, stderr=log)
        address = _ready(process, inbox, self.folder / "agent.log")
        return RunningAgent(process, inbox, address, tls)


class RunningAgent:
    """An agent that serves."""

    def __init__(
        self, process: subprocess.Popen[bytes], inbox: socket.socket, address: str, tls: TlsFiles
    ) -> None:
        self._process = process
        self._inbox = inbox
        self.address = address
        self.client = AgentClient(address.replace("127.0.0.1", "localhost"), tls, timeout_s=300)

    def beats(self) -> int:
        """Waits for a beat of the watchdog, and returns how many have come."""
        self._inbox.settimeout(_WATCHDOG_S)
        count = 0
        while True:
            try:
                count += self._inbox.recv(_MAX_DATAGRAM) == b"WATCHDOG=1"
            except BlockingIOError:
                return count
            self._inbox.setblocking(False)

    def kill(self) -> None:
        """Ends it without a word: kill -9."""
        self._process.kill()
        self._process.wait(_STOP_S)
        self.client.close()

    def end(self) -> int:
        """SIGTERM; returns the exit code."""
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_S)


def _ready(process: subprocess.Popen[bytes], inbox: socket.socket, log: Path) -> str:
    inbox.settimeout(1.0)
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            text = inbox.recv(_MAX_DATAGRAM).decode()
        except TimeoutError:
            if process.poll() is not None:
                raise RemoteError(f"the agent ended: {log.read_text()[-2000:]}") from None
            continue
        if text.startswith("READY=1"):
            found = re.search(r"serves on (\S+)$", text)
            if found is not None:
                return found[1]
    process.kill()
    raise RemoteError(f"the agent did not serve within {_START_S:.0f} s")
