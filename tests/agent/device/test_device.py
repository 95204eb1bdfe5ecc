"""The device in this process, with a real worker and a real interpreter."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.errors import BusyError, DataError, TensorError, UsageError, WorkerError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus_agent.device.device import Device
from tfplus_agent.results import StepEvent
from tfplus_agent.storage.checkpoints import StorageError
from tfplus_agent.worker.client import EpochPlan

Open = Callable[..., Device]
KERNEL = "task/3/logit/kernel"
RATE = "optimizer/learning_rate"


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def all_values(device: Device) -> dict[str, Any]:
    return device.weights(include_optimizer=True)


def full_disk(handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill_worker(device: Device) -> None:
    session = device._slot.session
    assert session is not None
    assert session.supervisor.worker_pid is not None
    os.kill(session.supervisor.worker_pid, signal.SIGKILL)


def test_training_learns_and_is_summed_up(open_device: Open) -> None:
    device = open_device()
    before = device.evaluate()
    steps: list[StepEvent] = []
    summary = device.train(12, seed=1, on_step=steps.append, report_every=3)
    after = device.evaluate()
    assert before is not None
    assert after is not None
    assert after.metrics["accuracy"] > before.metrics["accuracy"]
    assert (summary.steps, summary.samples, summary.trained_steps) == (120, 1800, 120)
    assert [s.step for s in steps] == list(range(3, 121, 3))
    assert {s.steps_total for s in steps} == {120}
    assert steps[-1].epoch == 11
    assert summary.median_step_milliseconds > 0
    assert summary.memory.worker_rss_bytes > 1 << 20


def test_steps_end_it_where_epochs_would_not(open_device: Open) -> None:
    device = open_device()
    assert device.train(1, seed=1, max_steps=4).steps == 4
    assert device.train(0, seed=1, max_steps=13).steps == 13
    assert device.train(1, seed=1, max_steps=99).steps == 10
    assert device.trained_steps == 27
    with pytest.raises(UsageError, match="at least one epoch"):
        device.train(0, seed=1)


def test_a_short_last_batch_is_weighed_by_its_samples(open_device: Open) -> None:
    device = open_device()
    steps: list[StepEvent] = []
    summary = device.train(1, seed=1, on_step=steps.append)
    sizes = [16] * 9 + [6]
    expected = sum(n * s.loss for n, s in zip(sizes, steps, strict=True)) / 150
    assert summary.mean_loss == pytest.approx(expected, rel=1e-12)


def test_a_restart_goes_on_where_the_last_one_ended(open_device: Open) -> None:
    first = open_device()
    first.train(1, seed=1)
    values = all_values(first)
    first.close()
    second = open_device(load=None)
    assert second.trained_steps == 10
    assert second.incarnation == first.incarnation + 1
    assert equal(all_values(second), values)


def test_to_ask_for_the_accelerator_starts_nothing(open_device: Open) -> None:
    first = open_device()
    assert first.accelerator == ("cpu", "")
    first.close()
    second = open_device(load=None)
    assert second.accelerator == ("", "")
    assert second.memory().worker_rss_bytes == 0


def test_a_model_that_cannot_be_loaded_leaves_all_steps(
    open_device: Open, toy: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    device.train(1, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=2)
    assert device.trained_steps == 20
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    values = all_values(device)
    with pytest.raises(DataError):
        device.load(toy.sha256)
    assert device.trained_steps == 20
    assert equal(all_values(device), values)


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


def test_some_slices_can_be_set_and_the_rest_stays(open_device: Open) -> None:
    device = open_device()
    device.train(1, seed=1)
    before = all_values(device)
    ones = np.ones_like(before[KERNEL])
    device.set_weights({KERNEL: ones})
    assert equal(all_values(device), {**before, KERNEL: ones})
    kill_worker(device)
    device.close()
    assert equal(all_values(open_device(load=None)), {**before, KERNEL: ones})


def test_weights_are_selected_by_prefix_without_the_optimizer(open_device: Open) -> None:
    device = open_device()
    weights = {v.name for v in device.manifest.weights}
    assert set(device.weights()) == weights
    assert all(n.startswith("task/3/") for n in device.weights(["task/3"]))
    chosen = set(device.weights(["shared", "task/9"]))
    assert chosen == {n for n in weights if n.startswith(("shared/", "task/9/"))}
    with pytest.raises(TensorError, match="no slice under 'task/11'"):
        device.weights(["task/11"])
    with pytest.raises(TensorError, match="no slice under 'optimizer'"):
        device.weights(["optimizer"])
    assert "optimizer/learning_rate" in device.weights(["optimizer"], include_optimizer=True)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "no tensors came"),
        ({"shared/none": np.zeros(1, np.float32)}, "unknown .*shared/none"),
        ({KERNEL: np.zeros((1,), np.float32)}, r"expected float32\[16, 1\], got float32\[1\]"),
        ({KERNEL: np.zeros((1 << 20,), np.float32)}, "expected float32"),
        ({KERNEL: np.zeros((16, 1), np.int32)}, "got int32"),
        ({KERNEL: np.full((16, 1), np.nan, np.float32)}, "NaN"),
        ({RATE: np.array([np.inf], np.float32)}, "NaN or infinity"),
        (
            {RATE: np.array([-0.1], np.float32)},
            "learning_rate': expected values of at least 0 and at most 10000, .*, got -0.1",
        ),
        ({RATE: np.array([1e30], np.float32)}, "at most 10000, for it is a learning rate, got 1e"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(
    open_device: Open, tensors: dict[str, Any], message: str
) -> None:
    device = open_device()
    before = all_values(device)
    with pytest.raises(TensorError, match=message):
        device.set_weights(tensors)
    assert equal(all_values(device), before)


def test_a_full_disk_refuses_weights_and_keeps_what_there_was(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    device.train(1, seed=1)
    before = all_values(device)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError, match="No space left"):
            device.set_weights({KERNEL: before[KERNEL] + 1}, step=99)
    assert equal(all_values(device), before)
    assert device.trained_steps == 10
    device.set_weights({KERNEL: before[KERNEL] + 1}, step=99)
    assert device.trained_steps == 99


def test_training_that_a_full_disk_does_not_keep_stays_in_memory(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError, match="free some space"):
            device.train(1, seed=1)
    assert device.trained_steps == 10
    assert device.train(1, seed=2).trained_steps == 20


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_no_load_drops_steps_that_a_full_disk_does_not_take(
    open_device: Open,
    toy: Artifact,
    model: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    other: bool,
    fresh: bool,
) -> None:
    device = open_device()
    device.train(1, seed=1)
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=2)
        values = all_values(device)
        with pytest.raises(StorageError, match=r"10 steps of training are in memory alone.*free"):
            device.load(toy.sha256 if other else model.sha256, fresh=fresh)
        assert (device.trained_steps, device.model_sha256) == (20, model.sha256)
        assert equal(all_values(device), values)
    assert device.load(model.sha256) == 20
    assert equal(all_values(device), values)


def test_steps_in_memory_alone_are_written_when_the_agent_ends(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=1)
    values = all_values(device)
    device.close()
    again = open_device(load=None)
    assert again.trained_steps == 10
    assert equal(all_values(again), values)


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


def test_one_operation_at_a_time(open_device: Open) -> None:
    device = open_device()
    training, refused = threading.Event(), threading.Event()
    errors: list[str] = []

    def other() -> None:
        assert training.wait(30)
        for call in (device.weights, lambda: device.train(1, 1), device.evaluate):
            try:
                call()
            except BusyError as error:
                errors.append(str(error))
        refused.set()

    thread = threading.Thread(target=other)
    thread.start()
    device.train(10_000, 1, lambda _: training.set(), cancelled=refused.is_set)
    thread.join(30)
    assert len(errors) == 3
    assert all("training is under way" in text for text in errors)


def test_fresh_starts_over_and_stays_so(open_device: Open, model: Artifact) -> None:
    device = open_device()
    initial = all_values(device)
    device.train(1, seed=1)
    assert device.load(model.sha256) == 10
    assert device.load(model.sha256, fresh=True) == 0
    assert equal(all_values(device), initial)
    device.close()
    again = open_device(load=None)
    assert again.trained_steps == 0
    assert equal(all_values(again), initial)


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


def test_each_model_has_its_own_checkpoints(
    open_device: Open, model: Artifact, tmp_path: Path
) -> None:
    device = open_device()
    device.train(1, seed=1)
    other = artifact.with_values(
        model, {KERNEL: np.ones((16, 1), np.float32)}, tmp_path / "other.tflite"
    )
    content = other.path.read_bytes()
    device.models.add(other.sha256, len(content), [content])
    assert device.load(other.sha256) == 0
    np.testing.assert_array_equal(device.weights([KERNEL])[KERNEL], np.ones((16, 1)))
    assert device.load(model.sha256) == 10


def test_a_model_that_cannot_be_loaded_leaves_the_one_before(
    open_device: Open, toy: Artifact
) -> None:
    device = open_device()
    device.train(1, seed=1)
    sha256 = device.model_sha256
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    with pytest.raises(DataError, match=r"takes \[4\]"):
        device.load(toy.sha256)
    assert device.model_sha256 == sha256
    assert device.train(1, seed=2).trained_steps == 20


@pytest.mark.parametrize("threads", [-1, 257, 2**31 - 1])
def test_a_peer_cannot_ask_for_any_number_of_threads(
    open_device: Open, model: Artifact, threads: int
) -> None:
    with pytest.raises(UsageError, match="threads: expected 0 to 256"):
        open_device().load(model.sha256, threads=threads)


def test_labels_that_the_model_lacks_count_as_wrong(
    open_device: Open, make_data: Callable[..., Path]
) -> None:
    device = open_device(eval_data=make_data(20, y=np.full(20, 77)))
    result = device.evaluate()
    assert result is not None
    assert (result.samples, result.metrics) == (20, {"accuracy": 0.0})
    assert (result.known_samples, result.known_accuracy) == (0, 0.0)


def test_without_evaluation_data_there_is_no_result(open_device: Open) -> None:
    assert open_device(eval_data=None).evaluate() is None


def test_without_a_model_every_use_says_so(open_device: Open) -> None:
    device = open_device(load=None)
    for use in (
        lambda: device.manifest,
        lambda: device.train(1, 1),
        device.weights,
        device.evaluate,
        lambda: device.set_weights({KERNEL: np.zeros(1)}),
    ):
        with pytest.raises(DataError, match="no model is loaded"):
            use()
