"""Agents found by mDNS, on loopback."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import zeroconf

import tfplus
from tfplus.errors import UsageError
from tfplus.fleet import addresses, discovery
from tfplus.fleet.discovery import Announcement, Found, find

LOOPBACK = ["127.0.0.1"]


def test_an_agent_is_found_by_the_host_of_its_certificate() -> None:
    with (
        Announcement("pi.3", "127.0.0.1:50051", "pi-3.local", LOOPBACK),
        Announcement("plain", "127.0.0.1:50052", "", LOOPBACK),
    ):
        found = find(10, LOOPBACK, enough=2)
    assert found == [
        Found("pi.3", "pi-3.local:50051", True, tfplus.__version__),
        Found("plain", "127.0.0.1:50052", False, tfplus.__version__),
    ]


@pytest.mark.parametrize(
    ("properties", "ips", "address"),
    [
        ({"name": "a"}, ["10.0.0.7"], "10.0.0.7:7"),
        ({"name": "a"}, ["fe80::7"], "[fe80::7]:7"),
        ({"name": "a", "host": "::1"}, [], "[::1]:7"),
        ({"name": "a", "host": "x y\x1b[2J"}, ["10.0.0.7"], None),
        ({"name": "a", "host": "a/b:1"}, ["10.0.0.7"], None),
        ({}, [], None),
    ],
)
def test_what_is_announced_is_checked(
    properties: dict[str, str], ips: list[str], address: str | None
) -> None:
    info: Any = zeroconf.ServiceInfo(
        discovery.SERVICE, f"a.{discovery.SERVICE}", 7, properties=properties, parsed_addresses=ips
    )
    found = discovery._read(info)
    assert (found.address if found else None) == address


def test_named_agents_come_first_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [Found("b", "b:2", True, "1"), Found("a", "a:1", True, "1")]
    monkeypatch.setattr(discovery, "find", lambda: there)
    assert addresses.gather(["a:1"], None, discover=True) == ["a:1", "b:2"]
    monkeypatch.setattr(discovery, "find", lambda: [])
    with pytest.raises(UsageError, match="no agent answered"):
        addresses.gather([], None, discover=True)


def test_all_addresses_of_the_machine_but_loopback() -> None:
    assert discovery._addresses("10.0.0.7") == ["10.0.0.7"]
    for address in discovery._addresses("0.0.0.0"):
        socket.inet_aton(address)
