"""One call of training in pieces: what is redone when a GPU is lost, and what is reported of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfplus_agent.device import training
from tfplus_agent.device.supervisor import AcceleratorLostError
from tfplus_agent.device.training import Course
from tfplus_agent.worker.client import EpochPlan, EpochResult

EPOCH = 10


class Session:
    """Takes steps by number, and loses its GPU as told."""

    def __init__(self, clock: list[float], pieces: list[Any]) -> None:
        self._clock = clock
        self._pieces = pieces
        self.plans: list[tuple[int, int, int, int]] = []
        self.saved: list[int] = []
        self.position = None

    def train_epoch(self, plan: EpochPlan, on_step: Any, stop: Any) -> EpochResult:
        self.plans.append((plan.epoch, plan.skip, plan.first_step, plan.max_steps))
        assert plan.max_seconds == training.CHECKPOINT_EVERY_S
        steps, seconds = self._pieces.pop(0)
        self._clock[0] += seconds
        if isinstance(steps, AcceleratorLostError):
            raise steps
        ended = plan.skip + steps == EPOCH
        return EpochResult(4 * steps, 4 * steps, {"loss": 1.0}, np.zeros(steps), None, ended)

    def checkpoint(self, position: object = None) -> None:
        self.saved.append(len(self.plans))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    return now


def test_a_lost_gpu_costs_the_steps_since_the_last_checkpoint(clock: list[float]) -> None:
    lost = AcceleratorLostError("gone", step=24)
    # Epochs of 10 steps, the first in two pieces; a checkpoint after the piece that ends at 31 s.
    pieces = [(6, 31.0), (4, 5.0), (10, 5.0), (lost, 1.0), (4, 1.0), (10, 1.0), (10, 1.0)]
    session = Session(clock, pieces)
    done = training.train(session, Course(7, 10, 30, 1, 1), None, lambda: False)
    assert session.plans == [
        (0, 0, 0, 30),
        (0, 6, 6, 24),
        (1, 0, 10, 20),
        (2, 0, 20, 10),
        (0, 6, 6, 24),
        (1, 0, 10, 20),
        (2, 0, 20, 10),
    ]
    assert session.saved == [1, 7]
    assert done.redone_steps == 24 - 6
    assert [len(r.step_ms) for r in done.results] == [6, 4, 10, 10]


def test_a_gpu_lost_when_the_weights_are_read_is_redone_too(clock: list[float]) -> None:
    session = Session(clock, [(10, 1.0), (10, 1.0)])
    real = session.checkpoint

    def checkpoint(position: object = None) -> None:
        real()
        if len(session.saved) == 1:
            raise AcceleratorLostError("gone")

    session.checkpoint = checkpoint
    done = training.train(session, Course(7, 10, 10, 1, 1), None, lambda: False)
    assert done.redone_steps == 10
    assert len(done.results) == 1


def test_a_stop_ends_it_with_a_checkpoint(clock: list[float]) -> None:
    session = Session(clock, [(3, 1.0)])
    done = training.train(session, Course(7, 10, 30, 1, 1), None, lambda: bool(session.plans))
    assert session.saved == [1]
    assert len(done.results) == 1


def test_checkpoints_come_every_so_many_steps_of_the_whole(clock: list[float]) -> None:
    # Epochs of 10 steps; 7 of the 25 were taken before, and checkpoints come at 8, 16 and 24.
    session = Session(clock, [(1, 1.0), (2, 1.0), (6, 1.0), (4, 1.0), (4, 1.0), (1, 1.0)])
    told: list[int] = []
    course = Course(7, 10, 25, 1, 1, done_steps=7, checkpoint_every=8)
    done = training.train(session, course, None, lambda: False, on_checkpoint=told.append)
    assert session.plans == [
        (0, 7, 7, 1),
        (0, 8, 8, 8),
        (1, 0, 10, 6),
        (1, 6, 16, 8),
        (2, 0, 20, 4),
        (2, 4, 24, 1),
    ]
    assert (session.saved, told) == ([1, 3, 5, 6], [8, 16, 24, 25])
    assert len(done.results) == 6


def test_a_gpu_lost_after_steps_of_before_counts_its_own_alone(clock: list[float]) -> None:
    lost = AcceleratorLostError("gone", step=29)
    session = Session(clock, [(4, 1.0), (4, 1.0), (lost, 1.0), (4, 1.0)])
    course = Course(7, 100, 32, 1, 1, done_steps=20, checkpoint_every=4)
    done = training.train(session, course, None, lambda: False)
    assert done.redone_steps == 1
    assert session.plans[3] == (0, 28, 28, 4)


def test_a_training_that_was_done_before_takes_no_step(clock: list[float]) -> None:
    session = Session(clock, [])
    told: list[int] = []
    course = Course(7, 10, 20, 1, 1, done_steps=20, checkpoint_every=8)
    assert (
        training.train(session, course, None, lambda: False, on_checkpoint=told.append).results
        == []
    )
    assert (session.saved, told) == ([0], [20])
