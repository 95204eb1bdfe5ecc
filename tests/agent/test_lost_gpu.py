"""A GPU that fails in mid-training: the CPU goes on, and nothing that was acknowledged is lost.

The worker and the trial are real processes; their GPU is `faulty_gpu`, and the model that of
`tfplus doctor`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfplus_agent
from tfplus import artifact
from tfplus.artifact import Artifact
from tfplus_agent import session
from tfplus_agent.device import Device
from tfplus_agent.results import StepEvent
from tfplus_agent.worker_client import WorkerClient

OpenDevice = Callable[..., Device]
PROBE = Path(tfplus_agent.__file__).parent / "probe" / "model.tflite"


@pytest.fixture
def probe() -> Artifact:
    return artifact.read(PROBE)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives every process that is started from now on a GPU that fails as told."""

    def make(fault: str) -> None:
        folder = Path(__file__).parent / "faulty_gpu"
        path = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{path}")
        monkeypatch.setenv("FAULTY_GPU", fault)

    return make


def trained(device: Device, epochs: int = 1, **changes: Any) -> tuple[Any, list[StepEvent]]:
    events: list[StepEvent] = []
    return device.train(epochs, 7, events.append, **changes), events


def test_a_gpu_that_works_is_used_and_computes_what_the_cpu_does(
    open_device: OpenDevice, probe: Artifact, faulty: Any, tmp_path: Path
) -> None:
    faulty("none 0")
    device = open_device(load=probe, accelerator="gpu", loss_every=4)
    assert device.accelerator == ("gpu", "")
    summary, events = trained(device)
    on_cpu = open_device(load=probe, accelerator="cpu", state_dir=tmp_path / "cpu", loss_every=4)
    want, all_events = trained(on_cpu)
    # The first step is read, then every fourth, and the last.
    assert [e.step for e in events] == [1, 5, 9, 10]
    expected = {e.step: e.loss for e in all_events}
    for event in events:
        assert event.loss == pytest.approx(expected[event.step], rel=1e-5)
    assert (summary.samples, summary.read_samples) == (150, 54)
    assert (want.samples, want.read_samples) == (150, 150)
    mean = sum(e.loss * (6 if e.step == 10 else 16) for e in events) / 54
    assert summary.mean_loss == pytest.approx(mean, rel=1e-6)
    for name, value in on_cpu.weights(include_optimizer=True).items():
        got = device.weights(include_optimizer=True)[name]
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "says"), [("raise", "Device lost"), ("abort", "SIGABRT"), ("hang", "hung")]
)
def test_a_gpu_lost_in_mid_training_leaves_what_was_acknowledged(
    open_device: OpenDevice,
    probe: Artifact,
    faulty: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
    says: str,
) -> None:
    monkeypatch.setattr(
        session, "WorkerClient", functools.partial(WorkerClient, silence_limit_s=3.0)
    )
    # Ten steps are acknowledged; of the next call five are reported before the GPU is lost.
    faulty(f"{fault} 15")
    device = open_device(load=probe, accelerator="gpu")
    trained(device)
    kept = device.weights(include_optimizer=True)
    summary, events = trained(device)
    assert summary.accelerator == "cpu"
    assert says in summary.accelerator_note
    assert summary.redone_steps == 5
    assert [e.step for e in events] == [*range(1, 6), *range(1, 11)]
    assert (summary.steps, summary.samples, summary.trained_steps) == (10, 150, 20)
    # On the CPU the steps were taken from the weights of the checkpoint.
    other = open_device(load=probe, accelerator="cpu", state_dir=tmp_path / "cpu")
    other.set_weights(kept, step=10)
    want, expected = trained(other)
    assert [e.loss for e in events[5:]] == [e.loss for e in expected]
    assert summary.mean_loss == want.mean_loss
    for name, value in other.weights(include_optimizer=True).items():
        np.testing.assert_array_equal(device.weights(include_optimizer=True)[name], value)


def test_a_gpu_lost_between_two_calls_costs_nothing(
    open_device: OpenDevice, probe: Artifact, faulty: Any
) -> None:
    faulty("abort 10")
    device = open_device(load=probe, accelerator="gpu")
    trained(device)
    kept = device.weights()
    assert device.evaluate() is not None
    summary, _ = trained(device)
    assert (summary.accelerator, summary.trained_steps) == ("cpu", 20)
    assert kept.keys() == device.weights().keys()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("wrong 0", "computes wrongly"),
        ("full 0", "no room"),
        ("abort 0", "SIGABRT"),
        ("raise 0", "Device lost"),
    ],
)
def test_a_gpu_that_fails_its_trial_is_not_used(
    open_device: OpenDevice, probe: Artifact, faulty: Any, fault: str, says: str
) -> None:
    faulty(fault)
    accelerator, note = open_device(load=probe, accelerator="gpu").accelerator
    assert accelerator == "cpu"
    assert says in note
