"""Weights that are read, and evaluations, while a training is under way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.errors import WorkerError
from tfplus_agent.device.device import Device
from tfplus_agent.device.reading import WeightsReading
from tfplus_agent.device.session import Session
from tfplus_agent.results import StepEvent

Open = Callable[..., Device]
LIMIT_S = 60


def values_of(reading: WeightsReading) -> dict[str, Any]:
    return dict(reading.tensors)


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def test_what_is_read_between_steps_is_what_that_many_steps_come_to(
    open_device: Open, tmp_path: Path
) -> None:
    device = open_device()
    read: list[Any] = []

    def both() -> None:
        read.append(device.read_weights(include_optimizer=True))
        read.append(device.evaluate())

    begun, done = threading.Event(), threading.Event()

    def reader() -> None:
        assert begun.wait(LIMIT_S)
        both()
        done.set()

    thread = threading.Thread(target=reader)
    thread.start()
    summary = device.train(10_000, 1, lambda _: begun.set(), cancelled=done.is_set)
    thread.join(LIMIT_S)
    weights, measured = read
    assert weights.source == "worker"
    assert 0 < weights.steps <= measured.trained_steps <= summary.trained_steps
    end = values_of(device.read_weights(include_optimizer=True))

    undisturbed = open_device(state_dir=tmp_path / "undisturbed")
    undisturbed.train(0, 1, max_steps=weights.steps)
    assert same(values_of(weights), dict(undisturbed.weights(include_optimizer=True)))
    undisturbed.train(0, 1, max_steps=measured.trained_steps, done_steps=weights.steps)
    expected = undisturbed.evaluate()
    assert expected is not None
    assert (measured.metrics, measured.losses) == (expected.metrics, expected.losses)
    undisturbed.train(0, 1, max_steps=summary.steps, done_steps=measured.trained_steps)
    assert same(end, dict(undisturbed.weights(include_optimizer=True)))


def test_a_worker_that_dies_of_a_reader_costs_the_steps_since_the_last_checkpoint(
    open_device: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    begun, read = threading.Event(), threading.Event()
    evaluate = Session.evaluate

    def killed(session: Session) -> Any:
        assert session.supervisor.worker_pid is not None
        os.kill(session.supervisor.worker_pid, signal.SIGKILL)
        return evaluate(session)

    monkeypatch.setattr(Session, "evaluate", killed)

    def reader() -> None:
        assert begun.wait(LIMIT_S)
        with pytest.raises(WorkerError):
            device.evaluate()
        read.set()

    thread = threading.Thread(target=reader)
    thread.start()
    after: list[int] = []

    def on_step(event: StepEvent) -> None:
        if event.step >= 20:
            begun.set()
        if read.is_set():
            after.append(event.step)

    summary = device.train(10_000, 1, on_step, cancelled=lambda: len(after) > 9, checkpoint_every=7)
    thread.join(LIMIT_S)
    assert read.is_set()
    assert summary.redone_steps < 7
    undisturbed = open_device(state_dir=tmp_path / "undisturbed")
    undisturbed.train(0, 1, max_steps=summary.steps)
    assert same(
        dict(device.weights(include_optimizer=True)),
        dict(undisturbed.weights(include_optimizer=True)),
    )
