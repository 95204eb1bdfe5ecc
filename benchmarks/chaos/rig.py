"""A real agent on loopback, behind a link that can be cut, on a disk that can be filled."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.link import Link
from tfplus.errors import TfplusError
from tfplus.fleet.clients.client import AgentClient
from tfplus.system import child_process

START_TIMEOUT_S = 60
SILENCE_S = 3.0
DISK_BYTES = 32 << 20
_DAY_S = 86_400


class RigError(TfplusError):
    """The agent did what no fault excuses."""


class Rig:
    """One agent, started again whenever it has ended.

    Args:
      folder: an empty one.
      data: training data.
      eval_data: evaluation data.
      may_mount: whether its disk may be a small one of its own.

    Attributes:
      how: by what means the disk is filled and the clock moved, in words.
      port: where the agent listens.
      state_dir: its state.
    """

    def __init__(
        self, folder: Path, data: Path, eval_data: Path, *, may_mount: bool = True
    ) -> None:
        self._folder = folder
        self._data = ("--data", str(data), "--eval-data", str(eval_data))
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self._log = folder / "agent.log"
        self._clock = folder / "clock"
        self._ballast = self.state_dir / "ballast"
        self._own_disk = may_mount and _mounted(self.state_dir)
        disk = "a small tmpfs" if self._own_disk else "a limit on the size of files"
        self.how = {"clock": "time.time of the daemon", "disk": disk}
        self.port = 0
        try:
            self.process = self.start()
        except BaseException:
            self._unmount()
            raise
        self.link = Link(self.port)

    def close(self) -> None:
        """Ends everything."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.link.close()
        self._unmount()

    def _unmount(self) -> None:
        if self._own_disk:
            subprocess.run(["umount", "-l", str(self.state_dir)], check=False)

    @property
    def address(self) -> str:
        """Where clients reach the agent, through the link."""
        return f"127.0.0.1:{self.link.port}"

    def client(self) -> AgentClient:
        """A client of its own connection."""
        return AgentClient(self.address, timeout_s=START_TIMEOUT_S)

    def spawn(self) -> subprocess.Popen[str]:
        """Starts an agent's process, whatever becomes of it."""
        listen = f"127.0.0.1:{self.port}"
        own = ("--state-dir", str(self.state_dir), "--listen", listen, "--name", "chaos")
        options = (*self._data, *own, "--threads", "1", "--accelerator", "cpu", "--json")
        here = str(Path(__file__).resolve().parents[1])
        paths = filter(None, (here, os.environ.get("PYTHONPATH")))
        with self._log.open("ab") as log:
            return subprocess.Popen(
                child_process.command("chaos.launcher", "agent", *options),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(paths),
                    "CHAOS_SILENCE_S": str(SILENCE_S),
                    "CHAOS_CLOCK": str(self._clock),
                },
            )

    def start(self) -> subprocess.Popen[str]:
        """Starts the agent and waits until it serves.

        Raises:
          RigError: it does not.
        """
        process = self.spawn()
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            code = process.wait(START_TIMEOUT_S)
            raise RigError(f"the agent ended with {code} at its start: {self.last_words()}")
        self.port = int(json.loads(line)["address"].rpartition(":")[2])
        self.process = process
        return process

    def end(self, number: signal.Signals) -> None:
        """Ends the agent, and waits for its end."""
        self.process.send_signal(number)
        self.process.wait(START_TIMEOUT_S)
        if self.process.stdout:
            self.process.stdout.close()

    def worker(self) -> int | None:
        """Process id of the agent's worker; None where there is none just now."""
        found: list[int] = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{self.process.pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found[0] if found else None

    def last_words(self) -> str:
        """What the agent wrote last to its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(nothing)"

    def tracebacks(self) -> int:
        """How many tracebacks stand in the agent's log."""
        return self._log.read_text(errors="replace").count("Traceback (most recent call last)")

    def newest_checkpoint(self) -> Path:
        """The file that the agent would go on from."""
        found = [p for p in self.state_dir.rglob("*.safetensors") if p.stem.isdecimal()]
        return max(found, key=lambda path: (int(path.stem), path))

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leaves the agent no room for another byte."""
        pid, limit = self.process.pid, resource.RLIMIT_FSIZE
        if self._own_disk:
            _fill(self._ballast)
        else:
            old = resource.prlimit(pid, limit)
            resource.prlimit(pid, limit, (0, old[1]))
        try:
            yield
        finally:
            if self._own_disk:
                self._ballast.unlink()
            else:
                resource.prlimit(pid, limit, old)

    def move_clock(self, *, backwards: bool) -> None:
        """Puts the agent's clock a day ahead of this machine's, or behind it."""
        text = str(-_DAY_S if backwards else _DAY_S)
        aside = self._clock.with_suffix(".new")
        aside.write_text(f"{text}\n")
        aside.rename(self._clock)


def wait_until(what: str, holds: object, timeout_s: float = START_TIMEOUT_S) -> None:
    """Asks again and again, as somebody who looks at an agent does.

    Args:
      what: for the error.
      holds: a function that returns whether it is so.
      timeout_s: gives up after so long, in seconds.

    Raises:
      RigError: it never is.
    """
    end = time.monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            raise RigError(f"waited {timeout_s:g} s for: {what}")
        time.sleep(0.02)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 9, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def _mounted(folder: Path) -> bool:
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tfplus-chaos", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
