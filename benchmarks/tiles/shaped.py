"""Loopback addresses that so many bits a second reach, in a network namespace of their own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from rivals import loopback

# A bucket of this many milliseconds, and a queue of as many.
_BURST_MS, _QUEUE_MS = 0.4, 50
# Of Ethernet: loopback takes packets of 64 kB otherwise.
_MTU = 1500


def addresses(count: int) -> list[str]:
    """An address for each device; the leader has 127.0.0.1."""
    return [f"127.0.0.{2 + i}" for i in range(count)]


def refusal() -> str:
    """Moves this process into a namespace of its own; why that cannot be, or nothing."""
    missing = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} of iproute2 is not installed"
    if not loopback.make_own():
        return "a network namespace of one's own takes root"
    return ""


def shape(hosts: Sequence[str], bits_per_s: int) -> None:
    """Lets so many bits a second reach each address, whoever sends them; others are not held up.

    The namespace goes away with the last process in it, and all of this with it.

    Raises:
      SystemExit: the kernel has no such queue.
    """
    burst = max(int(bits_per_s * _BURST_MS / 8e3), 2 * _MTU)
    # Anew where links were shaped before.
    subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=False, capture_output=True)
    _run("ip", "link", "set", "lo", "mtu", str(_MTU), "up")
    _run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "ff")
    for number, host in [*enumerate(hosts, 1), (0xFF, "")]:
        _run("tc", "class", "add", "dev", "lo", "parent", "1:", "classid", f"1:{number:x}", "htb",
             "rate", "20gbit", "quantum", "60000")  # fmt: skip
        if not host:
            continue
        _run("tc", "qdisc", "add", "dev", "lo", "parent", f"1:{number:x}", "tbf", "rate",
             f"{bits_per_s}bit", "burst", f"{burst}b", "latency", f"{_QUEUE_MS}ms")  # fmt: skip
        _run("tc", "filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", "prio", "1",
             "u32", "match", "ip", "dst", f"{host}/32", "flowid", f"1:{number:x}")  # fmt: skip


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
