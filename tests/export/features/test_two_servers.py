"""Two server processes behind one data base: nothing is lost, nothing counts twice.

The data base is SQLite in a folder, then PostgreSQL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pytest

from tfplus.errors import UnreachableError
from tfplus.fleet.clients.feature_client import FeatureClient, header_of
from tfplus.model_file import artifact, weights_file

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EVERY, DEVICES, BATCHES = 8, 6, 4
Asked = Callable[[Path | str, str], list[list[Any]]]
# A server that stands still at a moment of its first training's publication, and says so.
SERVER = """
import sys, threading
moment = sys.argv.pop(1)
import sqlalchemy
from tfplus.cli.main import main
from tfplus.feature_server.state.store import Store
publish = Store.publish

def stand_still(*_):
    print("here", flush=True)
    threading.Event().wait()

def publish_until(store, version, weights):
    if version.number == 1 or moment == "never":
        return publish(store, version, weights)
    if moment == "inserted":
        sqlalchemy.event.listen(store._engine, "commit", stand_still)
    publish(store, version, weights)
    stand_still()

Store.publish = publish_until
main()
"""


class Servers:
    """Processes over one state; what all of them tell comes out of one pipe."""

    def __init__(self, model: Path, state: Path | str, stack: contextlib.ExitStack) -> None:
        self._model, self._stack = model, stack
        option = "--state-dir" if isinstance(state, Path) else "--database"
        self._state = [option, str(state)]
        read, self._told = os.pipe()
        stack.callback(os.close, self._told)
        self._lines: IO[str] = stack.enter_context(os.fdopen(read))

    def start(self, moment: str = "never") -> subprocess.Popen[str]:
        """Starts one, and does not wait until it serves."""
        command = [sys.executable, "-c", SERVER, moment, "server", str(self._model), "--json"]
        command += [*self._state, "--listen", "127.0.0.1:0"]
        command += ["--every", str(EVERY), "--epochs", "1", "--threads", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._told, text=True)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        # Nothing here takes so long; a server that hangs ends, and who waits is told.
        too_long = threading.Timer(60, self._end, [process])
        self._stack.callback(too_long.cancel)
        too_long.start()
        return process

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        os.write(self._told, b"too long\n")

    def wait_for(self, version: int) -> None:
        """Waits until one of them tells that it trained a version of at least this number."""
        for line in self._lines:
            assert line != "too long\n"
            if line.startswith("version ") and int(line.split()[1].rstrip(":")) >= version:
                return


@pytest.fixture
def servers(split_files: SimpleNamespace, state: Path | str) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(split_files.one, state, stack)


def address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return json.loads(server.stdout.readline())["address"]


def send(address: str, batches: Sequence[int]) -> dict[int, bool]:
    """Flushes batches of one sample; returns for each whether it had been there."""
    with FeatureClient(address) as client:
        told = client.published()
        made, shape = (told.makers[-1], told.hyper), (3, 3, 4)
        was_present: dict[int, bool] = {}
        for number in batches:
            key, device = number.to_bytes(16, "little"), f"pi-{number % DEVICES}"
            header = header_of(f"b-{number}", device, made, shape, [key], [number % 3])
            row = np.full((1, *shape), number, np.float32)
            was_present[number] = client.flush(header, row).was_present
    return was_present


def check(asked: Asked, state: Path | str, model: Path, batches: Sequence[int]) -> list[int]:
    """Holds the state against what was acknowledged; returns the samples of each version."""
    if isinstance(state, Path):
        assert asked(state, "PRAGMA integrity_check") == [["ok"]]
    held = asked(state, "SELECT sample, device, label, features FROM samples")
    told = asked(state, "SELECT device, id, samples FROM batches")
    versions = asked(state, "SELECT number, samples FROM versions ORDER BY 1")
    weights = asked(state, "SELECT number, content FROM weights ORDER BY 1")
    assert sorted(told) == sorted([f"pi-{n % DEVICES}", f"b-{n}", 1] for n in batches)
    assert sorted(held) == sorted(
        [
            n.to_bytes(16, "little"),
            f"pi-{n % DEVICES}",
            n % 3,
            np.full(36, n, np.float32).tobytes(),
        ]
        for n in batches
    )
    assert [number for number, _ in versions] == list(range(1, len(versions) + 1))
    assert [number for number, _ in weights] == [number for number, _ in versions]
    expected = artifact.read(model).manifest.expected()
    for number, content in weights:
        assert set(weights_file.decode(content, str(number))) == set(expected)
    return [samples for _, samples in versions]


def test_two_servers_lose_and_double_nothing(
    split_files: SimpleNamespace, state: Path | str, asked: Asked, servers: Servers
) -> None:
    # Both make the data base, and both want to publish the first version.
    both = [servers.start(), servers.start()]
    addresses = [address(server) for server in both]
    numbers = range(DEVICES * BATCHES)
    with ThreadPoolExecutor(2 * DEVICES) as pool:
        # Each batch goes to both at once, as where a device gives up on one and asks the other.
        answers = pool.map(
            send,
            [each for each in addresses for _ in range(DEVICES)],
            [range(d, DEVICES * BATCHES, DEVICES) for _ in addresses for d in range(DEVICES)],
        )
        was_present = [pair for answer in answers for pair in answer.items()]
    assert sorted(was_present) == sorted((n, told) for n in numbers for told in (False, True))
    servers.wait_for(2)
    with FeatureClient(addresses[0]) as one, FeatureClient(addresses[1]) as other:
        # What one of them trained both publish.
        assert min(one.published().version, other.published().version) >= 2
        values = [client.pull(2, {})[0] for client in (one, other)]
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name])
    for server in both:
        server.terminate()
        assert server.wait() == 0
    trained = check(asked, state, split_files.one, numbers)
    # Each goes on from the one before it, over all that was there.
    assert trained == sorted(trained)


@pytest.mark.parametrize(("moment", "published"), [("inserted", 1), ("committed", 2)])
def test_a_server_that_is_killed_while_it_publishes(
    moment: str,
    published: int,
    split_files: SimpleNamespace,
    state: Path | str,
    asked: Asked,
    servers: Servers,
) -> None:
    first = servers.start(moment)
    assert first.stdout is not None
    before, after = range(EVERY), range(EVERY, 2 * EVERY)
    assert not any(send(address(first), before).values())
    assert first.stdout.readline() == "here\n"
    # Where the first holds the data base, the second waits for it to be let go.
    second = servers.start()
    first.send_signal(signal.SIGKILL)
    first.wait()
    other = address(second)
    assert all(send(other, before).values())
    assert not any(send(other, after).values())
    servers.wait_for(published + 1)
    second.terminate()
    assert second.wait() == 0
    numbers = [*before, *after]
    trained = check(asked, state, split_files.one, numbers)
    assert trained[0] == 0
    assert len(trained) >= published + 1


def test_a_server_that_is_killed_while_devices_send_to_both(
    split_files: SimpleNamespace, state: Path | str, asked: Asked, servers: Servers
) -> None:
    both = [servers.start(), servers.start()]
    addresses = [address(server) for server in both]
    numbers, acknowledged = range(DEVICES * BATCHES), list[int]()
    one_at_a_time = threading.Lock()

    def device(own: int) -> int:
        """Sends its batches, each to the other server where one went away; returns how often."""
        gone = 0
        for number in range(own, len(numbers), DEVICES):
            for one in cycle(addresses if number % 2 else addresses[::-1]):
                try:
                    send(one, [number])
                except UnreachableError:
                    gone += 1
                    continue
                break
            with one_at_a_time:
                acknowledged.append(number)
                # The other devices are in the middle of something.
                if len(acknowledged) == DEVICES + 1:
                    both[0].send_signal(signal.SIGKILL)
        return gone

    with ThreadPoolExecutor(DEVICES) as pool:
        assert sum(pool.map(device, range(DEVICES))) > 0
    assert both[0].wait() == -signal.SIGKILL
    assert sorted(acknowledged) == list(numbers)
    servers.wait_for(2)
    both[1].terminate()
    assert both[1].wait() == 0
    trained = check(asked, state, split_files.one, numbers)
    assert trained == sorted(trained)
