from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

TIMEOUT_S = 20

# The kernel may give a signal to any thread: the one that waits in `read` is then not interrupted.
_TO_ANOTHER_THREAD = """
import os, signal, threading
from tfplus_agent.server.signals import StopSignals

class Reading:
    def __getattr__(self, name):
        return getattr(os, name)
    def read(self, fd, size):
        threading.Thread(target=self.send, args=(fd,)).start()
        return os.read(fd, size)
    def send(self, fd):
        # Until the main thread is in the system call that reads one byte from the pipe.
        blocked = ["running"]
        while len(blocked) < 4 or (blocked[1], blocked[3]) != (hex(fd), "0x1"):
            with open(f"/proc/self/task/{os.getpid()}/syscall") as file:
                blocked = file.read().split()
        signal.pthread_kill(threading.get_ident(), signal.NUMBER)

import tfplus_agent.server.signals as module
module.os = Reading()
with StopSignals() as signals:
    print(signals.wait().name)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_gets_ends_the_wait(name: str) -> None:
    code = _TO_ANOTHER_THREAD.replace("NUMBER", name)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (result.stdout, result.returncode) == (f"{name}\n", 0), result.stderr


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import threading; from tfplus_agent.server.signals import StopSignals\n"
        "with StopSignals() as signals:\n"
        "    print('waits', flush=True); signals.wait(); print('got one', flush=True)\n"
        "    threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.stdout.readline() == b"got one\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == -signal.SIGTERM
