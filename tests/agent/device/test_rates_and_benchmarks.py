"""Learning rates, predictions and benchmarks on a real worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.training.learning_rate import LEARNING_RATE
from tfplus.training.schedule import Rates, parse
from tfplus_agent.device.device import Device

Open = Callable[..., Device]


def all_of(device: Device) -> dict[str, Any]:
    return dict(device.weights(include_optimizer=True))


def test_a_schedule_trains_as_one_who_sets_the_rate_before_each_step(
    open_device: Open, tmp_path: Path
) -> None:
    rates = Rates(parse("linear:to=0.1,warmup=3"), 0.05)
    scheduled = open_device(state_dir=tmp_path / "scheduled")
    # In two calls, as after a restart.
    scheduled.train(0, 1, max_steps=14, rates=rates, until=6)
    assert scheduled.trained_steps == 6
    scheduled.train(0, 1, max_steps=14, rates=rates, done_steps=6)
    by_hand = open_device(state_dir=tmp_path / "by_hand")
    for step in range(14):
        rate = np.full(1, rates.at(step, 10, 14), np.float32)
        by_hand.set_weights({LEARNING_RATE: rate})
        by_hand.train(0, 1, max_steps=14, done_steps=step, until=step + 1)
    found, expected = all_of(scheduled), all_of(by_hand)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    constant = open_device(state_dir=tmp_path / "constant")
    constant.train(0, 1, max_steps=14)
    assert not np.array_equal(found[LEARNING_RATE], all_of(constant)[LEARNING_RATE])


def test_a_benchmark_changes_nothing_and_predictions_agree_with_an_evaluation(
    open_device: Open, eval_data: Path
) -> None:
    device = open_device()
    device.train(3, 1)
    before = all_of(device)
    found = device.benchmark(4, lambda: False)
    assert (found.timings.train_steps, len(found.timings.times_ms)) == (4, 8)
    assert (found.train_batch, found.infer_batch, found.accelerator) == (16, 24, "cpu")
    assert (found.timings.times_ms > 0).all()
    outputs = device.predict()
    after = all_of(device)
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    # Not only what is on disk: the worker goes on from the same.
    device.train(0, 1, max_steps=1)
    undisturbed = open_device(state_dir=device.state_dir.parent / "undisturbed")
    undisturbed.train(3, 1)
    undisturbed.train(0, 1, max_steps=1)
    for name, value in all_of(undisturbed).items():
        np.testing.assert_array_equal(all_of(device)[name], value)
    (logits,) = outputs.values()
    labels = np.load(eval_data)["y"]
    measured = undisturbed.evaluate()
    assert measured is not None
    assert len(logits) == len(labels) == 50
    assert device.predict(training_data=True).keys() == outputs.keys()
