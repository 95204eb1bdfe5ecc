"""Campaigns whose measurements are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus.benchmark.repetition import Answer, Measure, Request
from tfplus.campaign import devices, runner
from tfplus.campaign.planning import plan_file
from tfplus.campaign.planning.plan import Plan
from tfplus.measure.result import Environment
from tfplus.model_file.artifact import Artifact

HERE = Environment("board", "x86_64", "os", "6.1", "cpu", 2, None, 1 << 30, "3.11", "0.1", None)


def answer(request: Request, timeout_s: float) -> Answer:
    """A first iteration that is long, then times by phase."""
    steady = 6.0 if request.phase == "train" else 2.0
    times = (50.0, *(steady + 0.01 * (i % 3) for i in range(request.iterations - 1)))
    return Answer("fake 1", times, {"peak_rss_bytes": 1000})


Measured = Callable[..., Path]


@pytest.fixture
def plan(toy: Artifact) -> Plan:
    text = f'name = "toy"\nrepetitions = 5\niterations = 9\n[[models]]\nfile = "{toy.path}"\n'
    return plan_file.parse(text)


@pytest.fixture
def measured(tmp_path: Path, plan: Plan) -> Measured:
    """Runs the plan with made-up times and returns its folder."""

    def run(
        name: str = "result",
        measure: Measure = answer,
        here: Environment = HERE,
        memory_bytes: int = 1 << 30,
        *,
        again: bool = False,
    ) -> Path:
        device = devices.Local(measure, here, memory_bytes)
        runner.run(plan, tmp_path / name, again=again, open_device=lambda n, a: device)
        return tmp_path / name

    return run
