"""A device that dies at any point of a step: no partial update, and training goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests.tfplus.tiles.model import Model, files
from tfplus.errors import RemoteError, UnreachableError
from tfplus.fleet.tiles import training as tile_training
from tfplus.fleet.tiles.training import Samples
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tiles.process.device import TileDevice
from tfplus.tiles.step.assignment import Assignment, decoded
from tfplus.tiles.step.messages import Send


class DiedError(UnreachableError):
    pass


class Client:
    """A device in this process, which may die: as `TilesClient`, without a wire."""

    def __init__(
        self, address: str, others: dict[str, Client], dies: Callable[[str], bool]
    ) -> None:
        self.address, self.dead = address, False
        self.device = TileDevice(Model, self._sender)
        self._others, self._dies, self._lock = others, dies, threading.Lock()
        others[address] = self

    def _sender(self, given: Assignment):
        client = self

        class Sender:
            def put(self, sends: Sequence[Send]) -> None:
                for to, message in sends:
                    client.point(f"send {message.key.kind}")
                    other = client._others[given.peers[to]]
                    if not other.dead:
                        other.device.deliver(given.run_id, message)

            def close(self) -> None:
                return

        return Sender()

    def point(self, what: str) -> None:
        """A point at which the device may die; behind it it is silent."""
        with self._lock:
            self.dead = self.dead or self._dies(what)
        if self.dead:
            raise DiedError(f"{self.address} died")

    def load(self, given: Assignment, content: bytes) -> None:
        self.point("load")
        self.device.load(decoded(given.encoded()), content)

    def step(self, run_id: str, number: int, tensors) -> pb.StepReply:
        self.point("step")
        found = self.device.step(run_id, number, tensors, 60.0)
        self.point("computed")
        return pb.StepReply(metrics=found.metrics)

    def commit(self, run_id: str, number: int) -> None:
        self.point("commit")
        self.device.commit(run_id, number)
        self.point("committed")

    def discard(self, run_id: str, number: int) -> None:
        self.point("discard")
        self.device.discard(run_id, number)

    def state(self, run_id: str):
        self.point("state")
        return self.device.state(run_id)

    def set_state(self, run_id: str, tensors) -> None:
        self.point("set_state")
        self.device.set_state(run_id, tensors)


def trained(dies: Callable[[str], bool]):
    """Three devices, of which the middle one may die; two epochs of two steps."""
    x = np.random.default_rng(4).standard_normal((4, 4, 7, 2)).astype(np.float32)
    samples = Samples(lambda rows: x[rows], np.zeros(4, np.int32), "y")
    others: dict[str, Client] = {}
    clients = [
        Client(f"device-{i}:1", others, dies if i == 1 else lambda what: False) for i in range(3)
    ]
    return tile_training.train(
        clients, files(3), samples, epochs=2, seed=0, replan=files,
        on_step=lambda step: None, on_loss=lambda lost: None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed():
    points: list[str] = []
    outcome = trained(lambda what: points.append(what) or False)
    assert len(outcome.steps) == 4
    assert outcome.equal
    assert not outcome.lost
    return outcome, points


def dies_at(count: int) -> Callable[[str], bool]:
    left = [count]

    def dies(what: str) -> bool:
        left[0] -= 1
        return left[0] < 0

    return dies


def check(undisturbed, at: int) -> None:
    wanted, points = undisturbed
    if points[at] in ("load", "set_state"):
        # Before the first step there is nothing to go on from.
        with pytest.raises(RemoteError, match="died"):
            trained(dies_at(at))
        return
    if points[at] == "state":
        # Behind the last one all others have what was learned.
        assert len(trained(dies_at(at)).steps) == 4
        return
    found = trained(dies_at(at))
    (lost,) = found.lost
    assert lost.left == 2
    assert lost.applied == points[at].startswith("commit")
    assert found.equal
    for mine, theirs in zip(found.steps, wanted.steps, strict=True):
        assert mine.metrics["loss"] == pytest.approx(theirs.metrics["loss"], rel=1e-4)
    for name, value in wanted.state.items():
        largest = max(np.abs(value).max(), 1e-6)
        assert np.abs(found.state[name] - value).max() <= 1e-4 * largest


def test_a_device_that_dies_in_a_step_costs_nothing(undisturbed) -> None:
    _, points = undisturbed
    # One of each kind of point in the second step.
    second = [i for i, what in enumerate(points) if what == "step"][1]
    kinds = {what: i for i, what in enumerate(points) if i >= second}
    for what, at in {**kinds, "load": points.index("load")}.items():
        assert points[at] == what
        check(undisturbed, at)


@pytest.mark.slow
def test_a_device_that_dies_anywhere_costs_nothing(undisturbed) -> None:
    for at in range(len(undisturbed[1])):
        check(undisturbed, at)
