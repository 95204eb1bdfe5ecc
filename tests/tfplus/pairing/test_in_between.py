"""Whoever stands between a device and its desk, or has listened, gets nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting_device import NOW, Device, terms

from tfplus.errors import PairingError
from tfplus.pairing import desk
from tfplus.pairing.frames import OPENING_BYTES, SEALED_BYTES, Connection
from tfplus.wire import certs


class Between:
    """Somebody on the wire: hands frames on, after `change`, and keeps what it saw."""

    def __init__(self, address: str, change: Callable[[int, bytes], bytes]) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self._there = socket.create_connection(tuple(address.split(":")))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, args=(change,))
        self._thread.start()

    def _run(self, change: Callable[[int, bytes], bytes]) -> None:
        here, _ = self._listening.accept()
        with here, self._there, Connection(here, 20) as a, Connection(self._there, 20) as b:
            turn = [("desk", a, b), ("device", b, a)]
            try:
                for number in range(6):
                    name, source, target = turn[number % 2]
                    frame = source.receive(SEALED_BYTES)
                    self.seen.append((name, frame))
                    target.send(change(number, frame))
            except PairingError:
                return

    def close(self) -> None:
        self._thread.join(20)
        self._listening.close()


@pytest.mark.parametrize("number", range(5))
def test_whoever_changes_a_message_is_noticed(
    device: Callable[..., Device], ca: Path, number: int
) -> None:
    """In the fifth message are the certificates: swapping them is changing sealed bytes."""
    waiting = device()

    def flip(at: int, frame: bytes) -> bytes:
        return frame[:-1] + bytes([frame[-1] ^ 1]) if at == number else frame

    between = Between(waiting.address, flip)
    with pytest.raises(PairingError):
        desk.pair(between.address, waiting.listener.code, terms(ca), NOW)
    between.close()
    assert not (waiting.directory / "cert.pem").exists()
    if number == 4:
        assert "does not open" in waiting.error()


def test_another_ca_in_between_is_not_taken(
    device: Callable[..., Device], ca: Path, tmp_path: Path
) -> None:
    """Who has a CA of his own, but not the code, gets nobody to accept it."""
    certs.create_ca(tmp_path / "theirs", NOW)
    waiting = device()
    with pytest.raises(PairingError):
        desk.pair(waiting.address, "1111-1111", terms(tmp_path / "theirs"), NOW)
    _, _ = desk.pair(waiting.address, waiting.listener.code, terms(ca), NOW)
    assert waiting.result.result(20).name == "pi-3"
    assert (waiting.directory / "ca.pem").read_bytes() == (ca / "ca.pem").read_bytes()


def test_what_was_recorded_is_of_no_use(device: Callable[..., Device], ca: Path) -> None:
    first = device()
    between = Between(first.address, lambda _, frame: frame)
    desk.pair(between.address, first.listener.code, terms(ca), NOW)
    between.close()
    recorded = [frame for name, frame in between.seen if name == "desk"]
    assert not [f for _, f in between.seen if first.listener.code.replace("-", "").encode() in f]
    # Even where the same code came again.
    again = device(force=True)
    again.listener.code = first.listener.code
    with socket.create_connection(tuple(again.address.split(":"))) as opened:
        replay = Connection(opened, 20)
        replay.send(recorded[0])
        replay.receive(OPENING_BYTES)
        replay.send(recorded[1])
        with pytest.raises(PairingError):
            replay.receive(SEALED_BYTES)
    assert again.notes == ["a wrong code came; 2 of 3 tries are left"]
