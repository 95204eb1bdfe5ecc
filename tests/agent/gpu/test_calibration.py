"""What decides whether a model trains on a GPU; what the GPU did is made up here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfplus.errors import WorkerError
from tfplus.runtime import interpreter
from tfplus.runtime.accelerator_process import Ran
from tfplus.runtime.interpreter import Model
from tfplus.tensors.slices import Tensor
from tfplus_agent.doctor.patient import Patient, probe
from tfplus_agent.gpu import calibration
from tfplus_agent.gpu.calibration import Trial

State = dict[str, Tensor]


@pytest.fixture
def patient() -> Patient:
    return probe()


@pytest.fixture
def on_cpu(patient: Patient) -> Model:
    return interpreter.find().open(
        patient.read.path, patient.read.manifest, threads=1, xnnpack=True
    )


def step(on_cpu: Model, patient: Patient) -> State:
    """What is reached from the state at hand, which is put back."""
    before = on_cpu.save()
    on_cpu.step(patient.batch)
    reached = {**on_cpu.save(), "loss": np.array([on_cpu.metrics()["loss"]])}
    on_cpu.restore(before)
    return reached


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda got: got, ""),
        (lambda got: got | {"loss": got["loss"] * 1.1}, "computes wrongly: a loss"),
        (lambda got: {n: v + 1.0 for n, v in got.items()} | {"loss": got["loss"]}, "an update"),
    ],
)
def test_the_first_step_is_compared_and_the_cpu_put_back(
    patient: Patient,
    on_cpu: Model,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[State], State],
    says: str,
) -> None:
    before, reached = on_cpu.save(), step(on_cpu, patient)
    asked: list[Any] = []

    def run(graph: bytes, steps: Any, *others: Any) -> Ran:
        asked.extend(steps)
        # Later steps are for their time alone.
        junk = {n: v * 0 for n, v in reached.items()}
        return Ran([wrong(reached), junk, junk], [9.0, 2.0, 3.0], "some GPU", is_software=False)

    monkeypatch.setattr(calibration.accelerator_process, "run", run)
    found = calibration.of(patient.read, on_cpu, patient.batch)
    assert says in found.objection
    assert bool(says) == bool(found.objection)
    assert (found.device, found.step_s) == ("some GPU", 2.0)
    assert 0 < found.cpu_step_s < 2.0
    for given in asked:
        for name, value in before.items():
            np.testing.assert_array_equal(given.before[name], value)
    for name, value in on_cpu.save().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("error", [WorkerError("it hung"), OSError(28, "No space left")])
def test_a_trial_that_fails_leaves_the_cpu_as_it_was(
    patient: Patient, on_cpu: Model, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(*arguments: Any) -> Ran:
        raise error

    before = on_cpu.save()
    monkeypatch.setattr(calibration.accelerator_process, "run", run)
    assert str(error) in calibration.of(patient.read, on_cpu, patient.batch).objection
    for name, value in on_cpu.save().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("tried", "says"),
    [
        (Trial("", "G", False, 1.0, 2.0), ""),
        (Trial("", "G", False, 2.0, 2.0), ""),
        (Trial("", "G", False, 3.0, 2.0), "3e+03 ms on it and 2e+03 ms"),
        (Trial("", "G", True, 1.0, 2.0), "G is itself a program on the CPU"),
        (Trial("broken"), ""),
    ],
)
def test_a_gpu_is_no_gain_where_it_is_slower_or_a_program(tried: Trial, says: str) -> None:
    assert says in tried.no_gain
    assert bool(says) == bool(tried.no_gain)
