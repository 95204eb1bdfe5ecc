"""Agents that announce themselves in the local network by mDNS, and how they are found.

Everybody in the network can read what is announced: name, port, tfplus version, whether it speaks
TLS, and the host of its certificate. No role, data, model or key is in it, and nothing of it is
believed: who an agent is, its certificate says when it is called. Needs the extra `discovery`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tfplus
from tfplus.errors import MissingExtraError, RemoteError
from tfplus.wire.tls import split_address

try:
    import ifaddr
    import zeroconf
except ModuleNotFoundError:
    raise MissingExtraError.of("finding agents by mDNS", "discovery") from None

SERVICE = "_tfplus._tcp.local."
# Whoever answers more often than this is no fleet.
_MOST = 1000
_ANSWER_MS = 1000
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


@dataclass(frozen=True)
class Found:
    """An agent that announced itself; all of it is what it says of itself.

    Attributes:
      name: its own.
      address: `HOST:PORT` to call it by.
      tls: whether it asks for certificates.
      version: of its tfplus.
    """

    name: str
    address: str
    tls: bool
    version: str


class Announcement:
    """Announces an agent until it is closed; a context manager.

    Args:
      name: of the agent.
      address: `HOST:PORT` where it serves; of 0.0.0.0 and [::] every address of this machine.
      tls_host: the host that its certificate is for; empty in plaintext.
      interfaces: addresses whose networks hear of it; None for all.

    Raises:
      RemoteError: this machine has no network to announce it in.
    """

    def __init__(
        self, name: str, address: str, tls_host: str, interfaces: Sequence[str] | None = None
    ) -> None:
        host, port = split_address(address)
        label = name.replace(".", "-")
        told = {"name": name, "version": tfplus.__version__, "tls": str(int(bool(tls_host)))}
        if tls_host:
            told["host"] = tls_host
        self._zeroconf = _open(interfaces)
        info = zeroconf.ServiceInfo(
            SERVICE,
            f"{label}.{SERVICE}",
            port,
            properties=told,
            # A name of its own: the machine's is its system's to announce.
            server=f"{label}-tfplus.local.",
            parsed_addresses=_addresses(host),
        )
        try:
            self._zeroconf.register_service(info, allow_name_change=True)
        except (zeroconf.Error, OSError) as error:
            self._zeroconf.close()
            raise RemoteError(f"'{name}' cannot be announced by mDNS: {error}") from None

    def __enter__(self) -> Announcement:
        return self

    def __exit__(self, *_: object) -> None:
        # Says goodbye, too.
        self._zeroconf.close()


def find(
    seconds: float = 2.0, interfaces: Sequence[str] | None = None, enough: int = _MOST
) -> list[Found]:
    """Listens for agents.

    Args:
      seconds: how long.
      interfaces: addresses whose networks are asked; None for all.
      enough: ends as soon as so many were found.

    Returns:
      Those that announced themselves, by name.

    Raises:
      RemoteError: this machine has no network to ask in.
    """
    names: queue.SimpleQueue[str] = queue.SimpleQueue()

    def heard(*, name: str, state_change: Any, **_: object) -> None:
        if state_change is not zeroconf.ServiceStateChange.Removed:
            names.put(name)

    found: dict[str, Found] = {}
    until = time.monotonic() + seconds
    opened = _open(interfaces)
    try:
        browser = zeroconf.ServiceBrowser(opened, SERVICE, handlers=[heard])
        while len(found) < enough and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                name = names.get(timeout=left)
                info = opened.get_service_info(SERVICE, name, _ANSWER_MS)
                agent = _read(info) if info is not None else None
                if agent is not None:
                    found[name] = agent
        browser.cancel()
    finally:
        opened.close()
    return sorted(found.values(), key=lambda agent: (agent.name, agent.address))


def _read(info: Any) -> Found | None:
    told = {
        key.decode("ascii", "replace"): (value or b"").decode("utf-8", "replace")
        for key, value in info.properties.items()
    }
    host = told.get("host", "")
    if not host:
        host = next(iter(info.parsed_addresses()), "")
    try:
        shown = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        shown = host if _HOST.fullmatch(host) else ""
    if not shown:
        return None
    return Found(
        told.get("name", ""),
        f"{shown}:{info.port}",
        told.get("tls") == "1",
        told.get("version", ""),
    )


def _open(interfaces: Sequence[str] | None) -> Any:
    chosen = zeroconf.InterfaceChoice.All if interfaces is None else list(interfaces)
    try:
        return zeroconf.Zeroconf(interfaces=chosen)
    except (OSError, RuntimeError) as error:
        raise RemoteError(f"mDNS: no network of this machine can be used: {error}") from None


def _addresses(host: str) -> list[str]:
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            return [host]
    except ValueError:
        pass
    own = [ip.ip for a in ifaddr.get_adapters() for ip in a.ips if isinstance(ip.ip, str)]
    return [ip for ip in own if not ipaddress.ip_address(ip).is_loopback] or own
