"""Gradients are summed while passes compute, and messages leave before what follows is computed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.tfplus.tiles import model, reference
from tfplus.errors import StepError
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.process.device import TileDevice
from tfplus.tiles.step import in_memory, ring
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.messages import Key, Message, Send
from tfplus.tiles.step.place import Place
from tfplus.tiles.step.sums import Sums

TRAINED = ({"a": (3, 2)}, {}, {"b": (5,), "c": (1,)}, {"d": (4,)})


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group's gradients are a part of their own, however small."""
    monkeypatch.setattr(ring, "_LEAST", 1)


def test_parts_are_in_the_order_of_the_gradients_and_large_enough() -> None:
    assert ring.parts([10, 20_000, 0, 5]) == [(3, 1), (0,)]
    assert ring.parts([10, 20, 30_000]) == [(2,), (1, 0)]
    assert ring.parts([9_000, 9_000, 9_000]) == [(2, 1), (0,)]
    assert ring.parts([0, 0]) == []


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_whatever_comes_first_the_sums_have_the_same_bits(devices: int) -> None:
    layer = reference.convolution("x", (8, 8), (1, 1))
    chain = model.Chain("m", (layer,) * 3)
    tiling = Tiling(chain, Grid.even(devices, 1), ((0, 1), (1, 2), (2, 3)))
    places = [Place(tiling, d, 0, 1, TRAINED) for d in range(devices)]
    assert places[0].parts == (("d",), ("b", "c"), ("a",))
    rng = np.random.default_rng(devices)
    own = [
        {n: rng.standard_normal(s).astype(np.float32) for n, s in places[0].shapes.items()}
        for _ in range(devices)
    ]
    found = []
    for seed in range(5):
        order = np.random.default_rng(seed)
        sums = [Sums(place, 1) for place in places]
        events: list[Send | tuple[int, str]] = [*itertools.product(range(devices), own[0])]
        while events:
            event = events.pop(int(order.integers(len(events))))
            if isinstance(event, Send):
                events += sums[event.to].receive(event.message.key, event.message.values)
            else:
                device, name = event
                events += sums[device].add({name: own[device][name]})
        found += [each.gradients for each in sums]
    for gradients in found:
        for name, values in gradients.items():
            assert np.array_equal(values, found[0][name])
            assert np.allclose(values, sum(each[name] for each in own), atol=1e-5)


class Watched(reference.TileReference):
    """Tells what it computes."""

    done: list[str]

    def backward(self, group: int, fetched, delta, moments=None):
        self.done.append(f"backward {group}")
        return super().backward(group, fetched, delta, moments)


@pytest.mark.usefixtures("apart")
def test_messages_leave_before_the_next_pass() -> None:
    chain = reference.six_layers()
    tiling = Tiling(chain, Grid.even(2, 1), ((0, 3), (3, 6)))
    weights = reference.weights_of(chain, np.random.default_rng(0))
    done: list[str] = []
    steps: list[TileStep] = []
    for d in range(2):
        compute = Watched(tiling.part(d), weights)
        compute.done = done if not d else []
        place = Place(tiling, d, 0, 1, reference.trained(tiling, weights))
        steps.append(TileStep(place, compute, 1))
    seen: list[tuple[str, int]] = []

    def sent(sender: int, send: Send) -> bool:
        if not sender:
            seen.append((send.message.key.kind, len(done)))
        return True

    samples = np.random.default_rng(1).standard_normal((1, 11, 13, 2)).astype(np.float32)
    in_memory.run(steps, in_memory.scatter(tiling, samples), {}, 0, sent)
    # The delta before any backward pass; sums of the last group's before the first group's pass.
    assert seen[1:3] == [("delta", 0), ("sum", 0)]
    assert [count for kind, count in seen if kind == "gradient"] == [1]
    assert ("sum", 1) in seen


class Waiting(model.Model):
    """Ends the first group's backward pass once the last group's sum has gone on without it."""

    began: threading.Event
    went_on: threading.Event
    waited = True

    def backward(self, group: int, fetched, delta, moments=None):
        if not group:
            self.began.set()
            self.waited = self.went_on.wait(30.0)
        return super().backward(group, fetched, delta, moments)


@pytest.mark.usefixtures("apart")
def test_a_sum_goes_on_while_a_pass_computes() -> None:
    files = model.files(2)
    began, went_on = ([threading.Event() for _ in range(2)] for _ in range(2))
    pool = ThreadPoolExecutor(16)
    opened: dict[int, Waiting] = {}
    devices: list[TileDevice] = []

    def open_model(content: bytes, given: Assignment) -> Waiting:
        found = opened[given.place.device] = Waiting(content, given)
        found.began, found.went_on = began[given.place.device], went_on[given.place.device]
        return found

    class Sender:
        def __init__(self, given: Assignment) -> None:
            self.given = given

        def put(self, sends: Sequence[Send]) -> None:
            for to, message in sends:
                # The second round of the last group's part follows what the other one sent.
                if message.key[:2] == ("sum", 3):
                    went_on[self.given.place.device].set()
                if message.key.kind == "sum":
                    pool.submit(self.late, to, message)
                else:
                    devices[to].deliver(self.given.run_id, message)

        def late(self, to: int, message: Message) -> None:
            """No sum comes before the pass that it has to go on beside."""
            assert began[to].wait(30.0)
            devices[to].deliver(self.given.run_id, message)

        def close(self) -> None:
            return

    devices += [TileDevice(open_model, Sender) for _ in range(2)]
    for number, device in enumerate(devices):
        device.load(files.assignment("run", number, ["a", "b"], 0), b"x")
        device.set_state("run", files.values)
    samples = np.random.default_rng(2).standard_normal((model.BATCH, 4, 7, 2)).astype(np.float32)
    parts = in_memory.scatter(files.tiling, samples)
    given = [{"x": part} for part in parts]
    given[0]["y"] = np.zeros(model.BATCH, np.int32)  # type: ignore[assignment]
    with pool:
        tasks = [
            pool.submit(d.step, "run", 1, g, 60.0) for d, g in zip(devices, given, strict=True)
        ]
        sent = [task.result().sent_bytes for task in tasks]
    assert all(each.waited for each in opened.values())
    assert min(sent) > 0
    for device in devices:
        device.commit("run", 1)
    states = [device.state("run") for device in devices]
    assert all(np.array_equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.usefixtures("apart")
def test_a_wrong_part_of_a_sum_ends_the_step_and_not_the_stream() -> None:
    files = model.files(2)
    began, going_on = threading.Event(), threading.Event()

    class Slow(model.Model):
        def forward(self, group: int, fetched, moments=None):
            began.set()
            assert going_on.wait(30.0)
            return super().forward(group, fetched, moments)

    class Nowhere:
        def put(self, sends: Sequence[Send]) -> None:
            return

        close = put

    device = TileDevice(Slow, lambda given: Nowhere())  # type: ignore[arg-type, return-value]
    device.load(files.assignment("run", 1, ["a", "b"], 0), b"x")
    x = in_memory.scatter(files.tiling, np.zeros((model.BATCH, 4, 7, 2), np.float32))[1]
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(device.step, "run", 1, {"x": x}, 60.0)
        assert began.wait(30.0)
        device.deliver("run", Message(1, Key("sum", 99, 0), np.zeros(1, np.float32)))
        going_on.set()
        with pytest.raises(StepError, match="unexpected"):
            step.result()
