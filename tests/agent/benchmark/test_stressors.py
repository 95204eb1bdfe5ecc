"""Stressors of stress-ng beside a training, and what is said where it is not installed."""

from __future__ import annotations

import shutil

import pytest

from tfplus.benchmark.repetition import Request
from tfplus.errors import WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus_agent.benchmark import process, stress_ng

installed = pytest.mark.skipif(
    shutil.which("stress-ng") is None, reason="stress-ng is not installed (apt install stress-ng)"
)


@installed
def test_a_training_beside_a_stressor(model: Artifact) -> None:
    name = "stress-ng:cpu"
    request = Request(str(model.path), "train", 1, 10, 1.8, "interference", co_runner=name)
    values = process.measured(request, lambda line: None).values
    alone, beside = values["co_runner_alone_per_s"], values["co_runner_beside_per_s"]
    assert beside > 0
    assert values["co_runner_slowdown_ratio"] == pytest.approx(alone / beside)
    assert values["step_beside_ms"] > 0


@installed
def test_a_stressor_that_there_is_not_is_named() -> None:
    said = r"stress-ng: did not begin: .*knitting"
    with stress_ng.StressNg("knitting") as other, pytest.raises(WorkerError, match=said):
        other.go()


@installed
def test_a_block_may_be_as_short_as_it_likes() -> None:
    with stress_ng.StressNg("cpu") as other:
        for _ in range(3):
            other.go()
            told = other.stop()
            assert told["units"] >= 0
            assert told["seconds"] > 0


def test_without_it_what_to_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(WorkerError, match="stress-ng is not installed: install it, or take"):
        stress_ng.StressNg("cpu")
    with pytest.raises(WorkerError, match="no stressor is called 'a b'"):
        monkeypatch.setattr("shutil.which", lambda program: program)
        stress_ng.StressNg("a b")
