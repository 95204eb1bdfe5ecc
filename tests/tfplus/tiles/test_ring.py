"""The sum on a ring, and what a device refuses of others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.tfplus.tiles import reference
from tfplus.errors import StepError, TensorError
from tfplus.tiles.grid import Grid, Tiling, fused
from tfplus.tiles.step import in_memory, ring
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.messages import Key, Message, Send
from tfplus.tiles.step.place import Place


@pytest.mark.parametrize("devices", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 4, 23])
def test_all_devices_have_the_same_sum(devices: int, length: int) -> None:
    rng = np.random.default_rng(devices)
    vectors = rng.standard_normal((devices, length)).astype(np.float32)
    rings = [ring.reduce(v, i, devices) for i, v in enumerate(vectors)]
    totals: list[np.ndarray] = []
    if devices == 1:
        with pytest.raises(StopIteration) as stop:
            next(rings[0])
        totals = [stop.value.value]
    else:
        out, sent = [next(r) for r in rings], 0
        for round_ in range(2 * (devices - 1)):
            came = [out[i - 1] for i in range(devices)]
            sent += sum(part.size for part in out)
            out = []
            for one, part in zip(rings, came, strict=True):
                try:
                    out.append(one.send(part))
                except StopIteration as stop:
                    assert round_ == 2 * (devices - 1) - 1
                    totals.append(stop.value)
        assert sent == 2 * (devices - 1) * length
    for total in totals:
        assert np.array_equal(total, totals[0])
        assert np.allclose(total, vectors.sum(axis=0), atol=1e-5)


CHAIN = reference.six_layers()
TILING = Tiling(CHAIN, Grid.even(2, 1), ((0, 3), (3, 6)))


def step_of(device: int) -> TileStep:
    weights = reference.weights_of(CHAIN, np.random.default_rng(0))
    shapes = reference.trained(TILING, weights)
    part = reference.TileReference(TILING.part(device), weights)
    return TileStep(Place(TILING, device, 0, 1, shapes), part, 4)


def sent(step: TileStep) -> Iterator[Send]:
    while sends := step.advance():
        yield from sends


def test_what_nobody_sends_is_refused() -> None:
    step = step_of(1)
    values = np.zeros((1, 2, 2, 2), np.float32)
    for key in (Key("halo", 0, 0), Key("output", 2, 0), Key("halo", 1, 5), Key("sum", 9, 0)):
        with pytest.raises(StepError, match="unexpected"):
            step.receive(Message(4, key, values))
    with pytest.raises(StepError, match="of step 3"):
        step.receive(Message(3, Key("halo", 1, 0), values))
    with pytest.raises(TensorError, match=r"halo 1 of device 0: expected float32 \[1, "):
        step.receive(Message(4, Key("halo", 1, 0), values))
    right = step._place.expected()[Key("halo", 1, 0)]
    step.receive(Message(4, Key("halo", 1, 0), np.zeros(right, np.float32)))
    with pytest.raises(StepError, match="came twice"):
        step.receive(Message(4, Key("halo", 1, 0), np.zeros(right, np.float32)))
    with pytest.raises(TensorError, match="the samples of a tile"):
        step.begin(values, {})


def test_messages_may_come_before_a_step_begins_and_in_any_order() -> None:
    samples = np.random.default_rng(1).standard_normal((1, 11, 13, 2)).astype(np.float32)
    found = []
    for late in (False, True):
        steps, fetched = [step_of(0), step_of(1)], in_memory.scatter(TILING, samples)
        steps[0].begin(fetched[0], {})
        waiting = list(sent(steps[0]))
        if late:
            # All that the first one can send is there before the second one begins.
            for to, message in waiting:
                assert to == 1
                steps[1].receive(message)
                assert steps[1].advance() == []
            waiting = []
        steps[1].begin(fetched[1], {})
        waiting += sent(steps[1])
        while waiting:
            to, message = waiting.pop(-1 if late else 0)
            steps[to].receive(message)
            waiting += sent(steps[to])
        assert all(step.done for step in steps)
        found.append(steps[0].gradients)
    assert found[0] is not None
    for name, gradient in found[0].items():
        assert np.array_equal(gradient, found[1][name])
    assert fused(CHAIN) == ((0, 6),)
