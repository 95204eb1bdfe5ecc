"""A system in a process of its own, which takes its times itself: see `systems/protocol.py`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from tfplus.measure.alternation import Limit

ROOT = Path(__file__).resolve().parents[2]
_CLOSE_S = 60


class SystemFailedError(Exception):
    """The system does not run here; the message says why.

    Attributes:
      system: its name.
    """

    def __init__(self, system: str, why: str) -> None:
        super().__init__(why)
        self.system = system


class TimedProcess:
    """One system with one model; a context in which its process lives.

    Args:
      system: its name.
      command: what starts it.
      timeout_s: for each answer; None to wait as long as it takes.
      verbose: show what it prints on standard error.

    Attributes:
      about: what it told of itself: `version`, `parameters`.
      peak_rss_bytes: of its resident memory so far; None before the first block.
    """

    def __init__(
        self,
        system: str,
        command: Sequence[str],
        *,
        timeout_s: float | None = None,
        verbose: bool = False,
    ) -> None:
        self._system = system
        self.about: dict[str, Any] = {}
        self.peak_rss_bytes: int | None = None
        self._timeout_s = timeout_s
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
            errors="replace",
            env=environment(),
        )
        self._stdin = cast("IO[str]", self._child.stdin)
        self._stdout = cast("IO[str]", self._child.stdout)

    def __enter__(self) -> TimedProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        # The end of its input is what a system leaves at.
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._child.wait(timeout=_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._stdout.close()

    def start(self) -> None:
        """Waits until the step is built."""
        self.about = self._answer()

    def run(self, limit: Limit) -> list[float]:
        """Takes one block; see `tfplus.measure.alternation.RunBlock`.

        Raises:
          SystemFailedError: the process ended, does not answer in time, or says why it cannot.
        """
        try:
            print(f"run {limit.iterations} {limit.seconds}", file=self._stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None
        answer = self._answer()
        self.peak_rss_bytes = answer["peak_rss_bytes"]
        return answer["ms"]

    def _answer(self) -> dict[str, Any]:
        late = threading.Event()

        def end() -> None:
            late.set()
            self._child.kill()

        watch = threading.Timer(self._timeout_s, end) if self._timeout_s else None
        if watch:
            watch.start()
        try:
            # Some systems print a greeting of their own.
            for line in self._stdout:
                if line.startswith("{"):
                    answer = json.loads(line)
                    if "error" in answer:
                        raise self._failed(answer["error"])
                    return answer
        finally:
            if watch:
                watch.cancel()
        if late.is_set():
            raise self._failed(f"does not answer in {self._timeout_s:g} s")
        raise self._ended()

    def _ended(self) -> SystemFailedError:
        return self._failed(f"ends the process ({self._child.wait(timeout=_CLOSE_S)})")

    def _failed(self, why: str) -> SystemFailedError:
        return SystemFailedError(self._system, why)


def environment() -> dict[str, str]:
    """With this checkout's packages in it."""
    folders = (ROOT, ROOT / "export", ROOT / "device_agent")
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
