"""Processes that end with the one that began them, however that one ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from tfplus.system import child_process

TIMEOUT_S = 20
ENDLESS = ("timeit", "-n", "1", "-r", "1", "import time; time.sleep(600)")


def test_a_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "import subprocess; from tfplus.system import child_process\n"
        f"child = subprocess.Popen(child_process.command(*{ENDLESS!r}))\n"
        "print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        handle = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            ended, _, _ = select.select([handle], [], [], TIMEOUT_S)
            assert ended, "the child outlived its parent"
        finally:
            if not ended:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


def test_one_whose_parent_is_gone_already_does_nothing() -> None:
    command = child_process.command("timeit", "-n", "1", "print('ran')")
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_module_gets_its_arguments_and_its_output_comes_back() -> None:
    done = child_process.run("calendar", "2026", "1", timeout_s=TIMEOUT_S)
    assert (done.returncode, "January 2026" in done.stdout) == (0, True)
    done = child_process.run("calendar", "soon", timeout_s=TIMEOUT_S)
    assert (done.returncode, "calendar.py: error:" in done.stderr) == (2, True)
    with pytest.raises(subprocess.TimeoutExpired):
        child_process.run(*ENDLESS, timeout_s=0.2)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (3, "ended with exit code 3"),
        (-signal.SIGABRT, "was killed by SIGABRT"),
        (-signal.SIGRTMIN - 1, f"was killed by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, says: str) -> None:
    assert child_process.how_it_ended(code) == says
