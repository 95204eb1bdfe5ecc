"""Training that waits for a gate in its middle, on a real worker, and what it comes to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfplus_agent.device import retention
from tfplus_agent.device.device import Device
from tfplus_agent.jobs.limits.gatekeeper import Gatekeeper
from tfplus_agent.jobs.limits.gates import Gates
from tfplus_agent.results import StepEvent
from tfplus_agent.storage.checkpoints import CheckpointStore

LIMIT_S = 60
# One epoch of so many batches: what is not heard in its middle is not heard at all.
STEPS = 1000


class Watched(Gatekeeper):
    """Reads only when it is told to, and says when somebody waits."""

    def __init__(self, gates: Gates, root: Path) -> None:
        self.waited = threading.Event()
        super().__init__(gates, root, period_s=3600)

    def wait(self, stop: Callable[[], bool]) -> None:
        if self.closed():
            self.waited.set()
        super().wait(stop)


@pytest.fixture
def warm(tmp_path: Path) -> Callable[[float], None]:
    def write(celsius: float) -> None:
        zone = tmp_path / "sys/class/thermal/thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "type").write_text("cpu")
        (zone / "temp").write_text(f"{celsius * 1000:.0f}")

    write(40)
    return write


@pytest.fixture(scope="module")
def long_epoch(make_data: Callable[..., Path]) -> Path:
    return make_data(16 * STEPS, seed=1)


@pytest.fixture
def gated(
    open_device: Callable[..., Device],
    long_epoch: Path,
    tmp_path: Path,
    warm: Callable[[float], None],
) -> tuple[Device, Watched]:
    device = open_device(data=long_epoch)
    keeper = Watched(Gates(max_celsius=70), tmp_path)
    device.gates = keeper
    return device, keeper


def test_it_waits_in_mid_epoch_and_ends_with_the_same_weights(
    gated: tuple[Device, Watched],
    open_device: Callable[..., Device],
    long_epoch: Path,
    warm: Callable[[float], None],
    tmp_path: Path,
) -> None:
    device, keeper = gated
    steps: list[int] = []

    def heat_up(event: StepEvent) -> None:
        steps.append(event.step)
        if event.step == 2:
            warm(90)
            keeper.look()

    thread = threading.Thread(target=lambda: device.train(1, 7, heat_up))
    thread.start()
    assert keeper.waited.wait(LIMIT_S)
    paused_at = device.trained_steps
    assert 2 <= paused_at < STEPS
    assert keeper.verdict.closed == {"temperature": "90 °C of 70 °C at most"}
    warm(66)
    keeper.look()
    assert keeper.closed(), "it opens five degrees below, not at the limit"
    warm(65)
    keeper.look()
    thread.join(LIMIT_S)
    assert steps == list(range(1, STEPS + 1))

    undisturbed = open_device(state_dir=tmp_path / "other", data=long_epoch)
    undisturbed.train(1, 7)
    ours, theirs = (
        device.weights(include_optimizer=True),
        undisturbed.weights(include_optimizer=True),
    )
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_what_was_learned_is_on_disk_while_it_waits_and_a_stop_ends_it(
    gated: tuple[Device, Watched], warm: Callable[[float], None]
) -> None:
    device, keeper = gated
    cancelled = threading.Event()

    def heat_up(event: StepEvent) -> None:
        if event.step == 2:
            warm(90)
            keeper.look()

    thread = threading.Thread(
        target=lambda: device.train(1, 7, heat_up, cancelled=cancelled.is_set)
    )
    thread.start()
    assert keeper.waited.wait(LIMIT_S)
    sha256 = device.model_sha256
    folder = retention.checkpoints_of(device.state_dir, sha256)
    on_disk = CheckpointStore(folder, sha256, device.manifest.expected()).load()
    assert on_disk is not None
    assert 2 <= on_disk.step == device.trained_steps < STEPS
    cancelled.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert device.trained_steps == on_disk.step


def test_a_closed_gate_lets_nothing_begin(
    gated: tuple[Device, Watched], warm: Callable[[float], None]
) -> None:
    device, keeper = gated
    warm(90)
    keeper.look()
    cancelled = threading.Event()
    thread = threading.Thread(target=lambda: device.train(1, 7, cancelled=cancelled.is_set))
    thread.start()
    assert keeper.waited.wait(LIMIT_S)
    assert device.trained_steps == 0
    cancelled.set()
    thread.join(LIMIT_S)
    assert device.trained_steps == 0
