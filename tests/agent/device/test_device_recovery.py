"""What a device comes back to after its worker or its process died, or its training failed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from device_states import KERNEL, Open, all_values, equal, kill_worker

from tfplus.errors import DataError, WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus_agent.results import StepEvent
from tfplus_agent.worker.client import EpochPlan


def test_a_restart_goes_on_where_the_last_one_ended(open_device: Open) -> None:
    first = open_device()
    first.train(1, seed=1)
    values = all_values(first)
    first.close()
    second = open_device(load=None)
    assert second.trained_steps == 10
    assert second.incarnation == first.incarnation + 1
    assert equal(all_values(second), values)


def test_a_resumed_training_equals_an_unbroken_one(open_device: Open, tmp_path: Path) -> None:
    whole = open_device(state_dir=tmp_path / "whole")
    for seed in (1, 2):
        whole.train(1, seed=seed)
    broken = open_device()
    broken.train(1, seed=1)
    broken.close()
    again = open_device(load=None)
    again.train(1, seed=2)
    assert equal(all_values(again), all_values(whole))


@pytest.mark.slow
def test_what_adam_keeps_survives_a_restart(
    open_device: Open, adam_model: Artifact, tmp_path: Path
) -> None:
    whole = open_device(load=adam_model, state_dir=tmp_path / "whole")
    before = whole.evaluate()
    for seed in (1, 2):
        whole.train(4, seed=seed)
    after = whole.evaluate()
    assert before is not None
    assert after is not None
    assert after.metrics["accuracy"] > before.metrics["accuracy"]
    broken = open_device(load=adam_model)
    broken.train(4, seed=1)
    broken.close()
    again = open_device(load=None)
    again.train(4, seed=2)
    values = all_values(again)
    assert equal(values, all_values(whole))
    assert values["optimizer/beta_1_power"] == pytest.approx(0.9**80, rel=1e-4)
    assert not set(again.weights()) & {n for n in values if n.startswith("optimizer/")}


def test_a_worker_killed_in_mid_training_costs_what_was_not_saved_and_no_more(
    open_device: Open,
) -> None:
    device = open_device()
    device.train(1, seed=1)
    values = all_values(device)

    def kill(step: StepEvent) -> None:
        if step.step == 12:
            kill_worker(device)

    with pytest.raises(WorkerError, match="SIGKILL"):
        device.train(1000, seed=2, on_step=kill)
    assert device.trained_steps == 10
    assert equal(all_values(device), values)
    assert device.train(1, seed=3).trained_steps == 20


def test_a_worker_killed_between_two_epochs_is_not_replaced_in_silence(open_device: Open) -> None:
    device = open_device()
    device.train(1, seed=1)
    values = all_values(device)
    session = device._slot.session
    assert session is not None
    # As between the epochs of one call: ten steps more, and no checkpoint of them yet.
    session.train_epoch(EpochPlan(2, 0, 0, 20, 1, 10), None, lambda: False)
    kill_worker(device)
    # Without this it is found out by the call itself now and then.
    os.waitid(os.P_PID, session.supervisor.worker_pid or 0, os.WEXITED | os.WNOWAIT)
    with pytest.raises(WorkerError, match="10 steps that no checkpoint holds"):
        device.evaluate()
    assert device.trained_steps == 10
    assert equal(all_values(device), values)


def test_a_worker_killed_between_calls_is_replaced(open_device: Open) -> None:
    device = open_device()
    device.train(1, seed=1)
    values = all_values(device)
    kill_worker(device)
    try:
        read = all_values(device)
    except WorkerError:
        read = all_values(device)
    assert equal(read, values)


def test_an_error_in_the_callers_callback_leaves_the_device_at_its_checkpoint(
    open_device: Open,
) -> None:
    device = open_device()

    def fail(step: StepEvent) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        device.train(1, seed=1, on_step=fail)
    assert device.trained_steps == 0
    assert device.train(1, seed=1).trained_steps == 10


def test_diverging_training_goes_back_to_the_last_checkpoint(open_device: Open) -> None:
    device = open_device()
    device.train(1, seed=1)
    kernel = device.weights()[KERNEL]
    device.set_weights({KERNEL: np.full_like(kernel, 3e38)})
    before = all_values(device)
    with pytest.raises(DataError, match=r"training diverged: .*last checkpoint"):
        device.train(5, seed=2)
    assert equal(all_values(device), before)
    device.set_weights({KERNEL: kernel})
    assert device.train(1, seed=3).trained_steps == 20


def test_a_cancelled_training_keeps_its_steps(open_device: Open) -> None:
    device = open_device()
    steps: list[StepEvent] = []
    summary = device.train(1000, 1, steps.append, cancelled=lambda: len(steps) >= 25)
    assert 25 <= summary.steps < 1000
    values = all_values(device)
    device.close()
    again = open_device(load=None)
    assert again.trained_steps == summary.steps
    assert equal(all_values(again), values)


def test_a_damaged_checkpoint_costs_one_checkpoint(open_device: Open, tmp_path: Path) -> None:
    device = open_device()
    for seed in (1, 2):
        device.train(1, seed=seed)
    device.close()
    newest = max((tmp_path / "state" / "checkpoints").glob("*/*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-10])
    again = open_device(load=None)
    assert again.trained_steps == 10
    assert again.train(1, seed=3).trained_steps == 20
