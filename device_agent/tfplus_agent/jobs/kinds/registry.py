"""The kinds of job that a device carries out by itself."""

from __future__ import annotations

from typing import Protocol

from tfplus_agent.jobs.kind import JobKind
from tfplus_agent.jobs.kinds.benchmark import Benchmark, Benchmarked
from tfplus_agent.jobs.kinds.evaluate import Evaluation, Measurer
from tfplus_agent.jobs.kinds.predict import Prediction, Predictor
from tfplus_agent.jobs.kinds.train import Training
from tfplus_agent.jobs.kinds.trainer import Trainer


class Worksite(Trainer, Measurer, Predictor, Benchmarked, Protocol):
    """What these kinds need of the device."""


def kinds_of(device: Worksite) -> tuple[JobKind, ...]:
    """Every kind, on a device."""
    return Training(device), Evaluation(device), Prediction(device), Benchmark(device)
