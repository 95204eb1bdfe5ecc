"""What a service manager hears: a real socket, a real event loop, a real daemon."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tfplus_agent.server.callers.event_loop import EventLoop
from tfplus_agent.server.service_manager import ServiceManager

LIMIT_S = 0.3
TIMEOUT_S = 30.0


class Inbox:
    """The manager's end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def next(self, timeout_s: float = TIMEOUT_S) -> list[str]:
        self.socket.settimeout(timeout_s)
        return self.socket.recv(4096).decode().split("\n")

    def drain(self) -> None:
        """Drops what has come so far."""
        self.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                self.socket.recv(4096)


@pytest.fixture(params=["a path", "abstract"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Inbox, dict[str, str]]]:
    """An inbox, and the environment of a service whose manager it is."""
    name = str(tmp_path / "notify")
    abstract = request.param == "abstract"
    inbox = Inbox(f"\0{name}" if abstract else name)
    yield inbox, {"NOTIFY_SOCKET": f"@{name}" if abstract else name}
    inbox.socket.close()


@pytest.fixture
def watched(told: tuple[Inbox, dict[str, str]]) -> tuple[Inbox, dict[str, str]]:
    inbox, environment = told
    pid = str(os.getpid())
    return inbox, environment | {"WATCHDOG_USEC": f"{LIMIT_S * 1e6:.0f}", "WATCHDOG_PID": pid}


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def test_lines_come_as_they_are_told(told: tuple[Inbox, dict[str, str]]) -> None:
    inbox, environment = told
    ServiceManager(environment).tell("READY=1", "STATUS=serves")
    assert inbox.next() == ["READY=1", "STATUS=serves"]
    # A worker that inherits the environment must not speak for the daemon.
    assert environment == {}


def test_beats_stop_while_the_loop_hangs(
    watched: tuple[Inbox, dict[str, str]], loop: EventLoop
) -> None:
    inbox, environment = watched
    hang, hangs = threading.Event(), threading.Event()
    loop.start(ServiceManager(environment).beat(lambda: None))
    assert inbox.next() == inbox.next() == ["WATCHDOG=1"]
    loop.soon(lambda: (hangs.set(), hang.wait(TIMEOUT_S)))
    assert hangs.wait(TIMEOUT_S)
    inbox.drain()
    with pytest.raises(TimeoutError):
        inbox.next(3 * LIMIT_S)
    hang.set()
    assert inbox.next() == ["WATCHDOG=1"]


def test_beats_stop_while_nothing_answers(
    watched: tuple[Inbox, dict[str, str]], loop: EventLoop
) -> None:
    inbox, environment = watched
    stuck, free = threading.Event(), threading.Event()

    def answers() -> None:
        if stuck.is_set():
            free.wait(TIMEOUT_S)
        raise ValueError("an answer, too")

    loop.start(ServiceManager(environment).beat(answers))
    assert inbox.next() == ["WATCHDOG=1"]
    stuck.set()
    with pytest.raises(TimeoutError):
        while True:
            inbox.next(3 * LIMIT_S)
    free.set()
    assert inbox.next() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "300000"},
        {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "soon"},
    ],
    ids=["no manager", "no socket", "another process", "no number"],
)
def test_nobody_watches(environment: dict[str, str], loop: EventLoop) -> None:
    manager = ServiceManager(environment)
    assert manager.limit_s == 0
    loop.run(manager.beat(lambda: pytest.fail("asked")))


def test_a_manager_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


def test_a_daemon_is_ready_beats_and_says_that_it_ends(
    tmp_path: Path, start_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", f"{LIMIT_S * 1e6:.0f}")
    agent = start_agent()
    heard = [inbox.next(), inbox.next()]
    assert ["READY=1", f"STATUS=agent 'a' serves on {agent.ready['address']}"] in heard
    assert ["WATCHDOG=1"] in heard
    os.kill(agent.process.pid, signal.SIGSTOP)
    inbox.drain()
    with pytest.raises(TimeoutError):
        inbox.next(2 * LIMIT_S)
    os.kill(agent.process.pid, signal.SIGCONT)
    assert inbox.next() == ["WATCHDOG=1"]
    assert agent.end(signal.SIGTERM) == 0
    while (last := inbox.next()) == ["WATCHDOG=1"]:
        pass
    assert last == ["STOPPING=1"]
    inbox.socket.close()
