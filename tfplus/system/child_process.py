"""Programs of this Python in processes of their own, which end with the one that began them.

usage: python -m tfplus.system.child_process PARENT MODULE [ARGUMENT...]

PARENT is the id of that process. The kernel sends SIGTERM when the *thread* that began a process
ends: begin one only in a thread that lasts as long.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_ORPHANED = 1


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module, and ends with this process."""
    parent = str(os.getpid())
    return [sys.executable, "-m", "tfplus.system.child_process", parent, module, *arguments]


def run(module: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Runs a module to its end and returns its exit code and what it wrote.

    Args:
      module: what `python -m` takes.
      arguments: its own.
      timeout_s: ends it after so long, in seconds.

    Raises:
      subprocess.TimeoutExpired: it did not end by itself.
      OSError: it cannot be started.
    """
    return subprocess.run(  # noqa: S603 (this very Python and module)
        command(module, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def how_it_ended(code: int) -> str:
    """What an exit code says: `was killed by SIGABRT`, `ended with exit code 3`."""
    if code >= 0:
        return f"ended with exit code {code}"
    names = {int(number): number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"


def _end_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # It may have ended before the kernel was asked.
    if os.getppid() != parent:
        sys.exit(_ORPHANED)


def main() -> None:
    """Runs the module that the command line names."""
    _, parent, module, *_ = sys.argv
    _end_with(int(parent))
    del sys.argv[:2]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
