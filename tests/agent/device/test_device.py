"""The device in this process, with a real worker: training, evaluation, models, refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from device_states import KERNEL, Open, all_values, equal

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus_agent.results import StepEvent


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


def test_to_ask_for_the_accelerator_starts_nothing(open_device: Open) -> None:
    first = open_device()
    assert first.accelerator == ("cpu", "")
    first.close()
    second = open_device(load=None)
    assert second.accelerator == ("", "")
    assert second.memory().worker_rss_bytes == 0


def test_one_operation_at_a_time(open_device: Open) -> None:
    device = open_device()
    training, refused = threading.Event(), threading.Event()
    errors: list[str] = []

    def other() -> None:
        assert training.wait(30)
        values = all_values(device)
        for call in (lambda: device.set_weights(values), lambda: device.train(1, 1)):
            try:
                call()
            except BusyError as error:
                errors.append(str(error))
        refused.set()

    thread = threading.Thread(target=other)
    thread.start()
    device.train(10_000, 1, lambda _: training.set(), cancelled=refused.is_set)
    thread.join(30)
    assert len(errors) == 2
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
