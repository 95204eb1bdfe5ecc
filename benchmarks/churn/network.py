"""A network of one's own for agents: each in a namespace, with packets lost and links cut.

Linux, as root, with `unshare`, `ip` and `tc`. All of it ends with the process that made it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from churn.packets import bytecode

# For benchmarks of networks (RFC 2544).
OWN = "198.18.0.1"
_AGENT = "198.18.0.{}"
_FIRST = 10
_INSIDE = "CHURN_NETWORK"
_NAMES_AT = "/run/netns"


def begin_inside() -> None:
    """Begins this program anew in namespaces of its own; returns once it runs there.

    Raises:
      SystemExit: that is not allowed here, or a tool is missing.
    """
    if _INSIDE in os.environ:
        return
    missing = [tool for tool in ("unshare", "ip", "tc") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        raise SystemExit(
            "expected root on Linux with unshare, ip and tc, for a network that loses packets; "
            + (f"there is no {missing[0]}" if missing else "this is another user")
        )
    os.environ[_INSIDE] = "1"
    os.execvp(  # noqa: S606  no shell is wanted
        "unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv]
    )


class Network:
    """Agents on a switch, each with an address of its own; without faults at first.

    Args:
      names: of the agents.

    Attributes:
      addresses: agent → its IPv4 address.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.addresses = {name: _AGENT.format(_FIRST + i) for i, name in enumerate(names)}
        Path(_NAMES_AT).mkdir(parents=True, exist_ok=True)
        _do("mount", "-t", "tmpfs", "tmpfs", _NAMES_AT)
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "switch", "type", "bridge")
        _do("ip", "addr", "add", f"{OWN}/24", "dev", "switch")
        _do("ip", "link", "set", "switch", "up")
        for name, address in self.addresses.items():
            inside, plug = ("ip", "-n", name), f"to-{name}"
            _do("ip", "netns", "add", name)
            _do("ip", "link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", name)
            _do("ip", "link", "set", plug, "master", "switch", "up")
            _do(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
            _do(*inside, "link", "set", "eth0", "up")
            _do(*inside, "link", "set", "lo", "up")
            _do(*self.command(name), "tc", "qdisc", "add", "dev", "eth0", "clsact")

    def command(self, name: str) -> tuple[str, ...]:
        """What goes before a command that an agent's machine shall run; it becomes that command."""
        return ("ip", "netns", "exec", name)

    def weather(self, loss: float, cut: Mapping[str, Collection[str]]) -> None:
        """Says what is lost from now on; never between an agent and this process.

        Args:
          loss: share of all packets that agents send to each other.
          cut: agent → those whom nothing of it reaches.
        """
        for name in self.addresses:
            away = [self.addresses[other] for other in cut.get(name, ())]
            program = bytecode(OWN, away, loss)
            where = ("dev", "eth0", "egress", "pref", "1", "handle", "1")
            _do(
                *self.command(name),
                *("tc", "filter", "replace", *where, "bpf", "direct-action", "bytecode", program),
            )


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}: {done.stderr.strip()}")
