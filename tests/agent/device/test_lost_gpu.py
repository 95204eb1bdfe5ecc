"""A GPU that fails in mid-training: the CPU goes on, and nothing that was acknowledged is lost.

The worker and the trial are real processes; their GPU is `faulty_gpu`, and the model that of
`tfplus doctor`.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfplus_agent
from tfplus.errors import WorkerError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus_agent.device import supervisor
from tfplus_agent.device.device import Device
from tfplus_agent.gpu import calibration
from tfplus_agent.results import StepEvent
from tfplus_agent.worker.client import WorkerClient, WorkerSetup

OpenDevice = Callable[..., Device]
PROBE = Path(tfplus_agent.__file__).parent / "doctor" / "probe" / "model.tflite"


@pytest.fixture
def probe() -> Artifact:
    return artifact.read(PROBE)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives every process that is started from now on a GPU that fails as told."""

    def make(fault: str) -> None:
        folder = Path(__file__).parents[1] / "faulty_gpu"
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
    ("fault", "says"),
    [
        ("raise", "Device lost"),
        pytest.param("abort", "SIGABRT", marks=pytest.mark.slow),
        pytest.param("hang", "hung", marks=pytest.mark.slow),
    ],
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
        supervisor, "WorkerClient", functools.partial(WorkerClient, silence_limit_s=3.0)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def without(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A GPU that does everything but one call of the worker."""
    real = getattr(WorkerClient, call)

    def fail(self: WorkerClient, *arguments: Any) -> Any:
        if self.accelerator == "gpu":
            raise WorkerError(f"no {call} today")
        return real(self, *arguments)

    monkeypatch.setattr(WorkerClient, call, fail)


@pytest.mark.slow
def test_a_gpu_that_does_not_take_the_checkpoint_is_left(
    open_device: OpenDevice, probe: Artifact, faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty("none 0")
    first = open_device(load=probe, accelerator="gpu")
    trained(first)
    first.close()
    without(monkeypatch, "restore")
    again = open_device(load=None, accelerator="gpu")
    summary, _ = trained(again)
    assert (summary.accelerator, summary.trained_steps) == ("cpu", 20)
    assert "no restore today" in summary.accelerator_note


@pytest.mark.slow
def test_a_gpu_that_does_not_give_its_weights_is_trained_after(
    open_device: OpenDevice,
    probe: Artifact,
    faulty: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    faulty("none 0")
    device = open_device(load=probe, accelerator="gpu")
    without(monkeypatch, "save")
    summary, _ = trained(device)
    assert (summary.accelerator, summary.trained_steps, summary.redone_steps) == ("cpu", 10, 10)
    other = open_device(load=probe, accelerator="cpu", state_dir=tmp_path / "cpu")
    trained(other)
    for name, value in other.weights(include_optimizer=True).items():
        np.testing.assert_array_equal(device.weights(include_optimizer=True)[name], value)


def test_a_worker_that_does_not_start_with_the_gpu_starts_without(
    open_device: OpenDevice, probe: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client(WorkerClient):
        def __init__(self, setup: WorkerSetup, log_path: Path) -> None:
            if setup.accelerator != "cpu":
                raise WorkerError("the driver hung")
            super().__init__(setup, log_path)

    monkeypatch.setattr(supervisor, "WorkerClient", Client)
    device = open_device(load=probe, accelerator="gpu")
    assert device.accelerator == ("cpu", "the GPU was lost: the driver hung")


@pytest.mark.slow
def test_a_program_on_the_cpu_is_taken_only_where_it_is_asked_for(
    open_device: OpenDevice, probe: Artifact, faulty: Any, tmp_path: Path
) -> None:
    faulty("software 0")
    accelerator, note = open_device(load=probe).accelerator
    assert (accelerator, "Faulty is itself a program" in note) == ("cpu", True)
    asked = open_device(load=probe, accelerator="gpu", state_dir=tmp_path / "asked")
    assert asked.accelerator == ("gpu", "")


_UNDER_A_LIMIT = """
import sys
from pathlib import Path
from tfplus.model_file import artifact
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device
model = artifact.read(Path(sys.argv[1]))
state, samples = Path(sys.argv[2]), Path(sys.argv[3])
device = Device(DeviceConfig("a", state, samples, threads=1, accelerator="gpu"))
content = model.path.read_bytes()
device.models.add(model.sha256, len(content), [content])
device.load(model.sha256)
print(*device.accelerator, sep="|")
print(device.train(1, 1).trained_steps)
device.close()
"""


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
def test_a_model_that_the_gpu_has_no_memory_for_trains_on_the_cpu(
    gpu_model: Artifact, train_data: Path, tmp_path: Path
) -> None:
    # Address space for the CPU's step, which a GPU, of software too, cannot work in.
    limited = 'ulimit -v 600000; exec "$@"'
    code = [sys.executable, "-c", _UNDER_A_LIMIT, gpu_model.path, tmp_path / "state", train_data]
    done = subprocess.run(
        ["bash", "-c", limited, "limited", *map(str, code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    used, steps = done.stdout.splitlines()
    accelerator, _, note = used.partition("|")
    assert accelerator == "cpu"
    assert "GPU" in note
    assert steps == "10"


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
def test_auto_does_not_take_a_gpu_that_is_a_program_on_the_cpu(
    open_device: OpenDevice, probe: Artifact
) -> None:
    tried = calibration.Trial(device="Swift", is_software=True, step_s=1.0, cpu_step_s=2.0)
    assert "Swift is itself a program" in tried.no_gain
    device = open_device(load=probe)
    accelerator, note = device.accelerator
    assert (accelerator, "cpu" in note.lower()) == ("cpu", True)
