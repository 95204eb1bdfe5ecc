"""A stressor of stress-ng as a co-runner, where that is installed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import IO

from tfplus.errors import WorkerError

PREFIX = "stress-ng:"
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_WAIT_S = 10.0
_LOOK_EVERY_S = 0.002
_MOST_BYTES = 1 << 20
# What it says once its signals are handled and its stressors start.
_READY = "dispatching hogs"


class StressNg(AbstractContextManager["StressNg"]):
    """One stressor on one core; a process for each block.

    Raises:
      WorkerError: stress-ng is not installed, or has no such stressor.
    """

    def __init__(self, stressor: str) -> None:
        program = shutil.which("stress-ng")
        if program is None:
            raise WorkerError(
                "stress-ng is not installed: install it, or take a built-in co-runner"
            )
        if not _NAME.fullmatch(stressor):
            raise WorkerError(f"stress-ng: no stressor is called '{stressor}'")
        self._command = [program, f"--{stressor}", "1", "--metrics", "--no-rand-seed"]
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the whole)
        self._began = 0.0

    def go(self) -> None:
        """Begins a block; returns once the stressor is about to work.

        Raises:
          WorkerError: there is no such stressor.
        """
        self._said.seek(0)
        self._said.truncate()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )
        # A signal that comes before would end it without a count.
        until = time.monotonic() + _WAIT_S
        while _READY not in self._text():
            if self._process.poll() is not None or time.monotonic() > until:
                raise WorkerError(f"stress-ng: did not begin: {self._text().strip()[-200:]}")
            time.sleep(_LOOK_EVERY_S)
        self._began = time.perf_counter()

    def stop(self) -> Mapping[str, float]:
        """Ends it: the stressor's own count of its operations."""
        process, self._process = self._process, None
        if process is None:
            raise WorkerError("stress-ng: stopped before it began")
        process.send_signal(signal.SIGINT)
        seconds = time.perf_counter() - self._began
        try:
            process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise WorkerError("stress-ng: does not end") from None
        return {"units": operations_of(self._text()), "seconds": seconds}

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _text(self) -> str:
        # Its place in the file is also the program's, which still writes: it is not moved.
        return os.pread(self._said.fileno(), _MOST_BYTES, 0).decode(errors="replace")


def operations_of(said: str) -> float:
    """The count of operations in the table of `--metrics`.

    Raises:
      WorkerError: there is none.
    """
    lines = said.splitlines()
    for heading, line in zip(lines, lines[2:], strict=False):
        if "bogo ops" in heading:
            words = line.partition("]")[2].split()
            if len(words) > 1 and words[1].isdigit():
                return float(words[1])
    raise WorkerError(f"stress-ng: told no count of operations: {said.strip()[-200:]}")
