"""A loopback of one's own, and how many bytes went over it.

In a network namespace of its own nothing else is on the loopback; making one takes root. Elsewhere
the machine's loopback is read, and what others send over it counts as well.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_UP, _RUNNING = 0x1, 0x40


def make_own() -> bool:
    """Gives this process, and all that it starts from now on, a loopback of their own.

    Returns:
      Whether that was allowed. From then on nothing beyond this machine can be reached.
    """
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sh14x", b"lo", _UP | _RUNNING)
        fcntl.ioctl(asked, _SIOCSIFFLAGS, request)
    return True


def bytes_so_far(table: str | None = None) -> int:
    """Bytes that loopback has carried, each counted once, with headers of IP and TCP.

    Args:
      table: as /proc/net/dev has it; None to read that.
    """
    lines = (Path("/proc/self/net/dev").read_text() if table is None else table).splitlines()
    for line in lines:
        name, colon, counters = line.partition(":")
        if colon and name.strip() == "lo":
            return int(counters.split()[0])
    raise SystemExit("this machine has no loopback that can be counted")
