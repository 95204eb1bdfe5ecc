"""The learning pass: what a training on real samples came to, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.benchmark import messages
from tfplus.benchmark.repetition import LEARNING, Answer, Request
from tfplus.errors import DataError
from tfplus.fleet.clients.benchmark_client import BenchmarkClient
from tfplus.model_file.artifact import Artifact
from tfplus_agent.benchmark import learning
from tfplus_agent.benchmark.opened import Opened
from tfplus_agent.server.agent_server import AgentServer

VOLTS, AMPERES = 3.85, 1.25


def request(model: Artifact, train: Path, judged: Path, **changes: Any) -> Request:
    fields = {"data": str(train), "eval_data": str(judged), "kind": LEARNING, "iterations": 400}
    return Request(**{"path": str(model.path), "phase": "train", "threads": 1, **fields, **changes})


def battery(root: Path) -> Path:
    supply = root / "sys/class/power_supply/BAT0"
    supply.mkdir(parents=True)
    told = {"type": "Battery", "status": "Discharging", "capacity": 80}
    told |= {"voltage_now": int(VOLTS * 1e6), "current_now": int(AMPERES * 1e6)}
    for name, value in told.items():
        (supply / name).write_text(f"{value}\n")
    return root


def test_what_was_learned_and_what_it_cost(
    model: Artifact, train_data: Path, eval_data: Path, tmp_path: Path
) -> None:
    told: list[float] = []
    opened = Opened(request(model, train_data, eval_data), battery(tmp_path), told.extend)
    samples = np.load(eval_data)
    size = opened.found.manifest.infer_batch_size
    # The oracle: the whole batches of the evaluation data, by a model that learned nothing.
    whole = len(samples["x"]) // size * size
    answer = learning.run(opened)
    values = answer.values
    fresh = Opened(request(model, train_data, eval_data), tmp_path, told.extend).model
    assert values["accuracy_before"] == pytest.approx(_judged(fresh, samples, whole), abs=0.05)
    assert values["accuracy_after"] > max(0.8, values["accuracy_before"])
    assert values["accuracy_after"] == pytest.approx(
        _judged(opened.model, samples, whole), abs=0.05
    )
    assert len(answer.iteration_ms) == len(told) == values["learning_steps_count"] == 400
    assert 0 < values["learning_cpu_s"] < 60
    joules = values["learning battery_power_watts joules"]
    assert joules == pytest.approx(VOLTS * AMPERES * values["learning_s"], rel=0.1)
    assert answer.absent == {}


def _judged(model: Any, samples: Any, count: int) -> float:
    size, right = model.manifest.infer_batch_size, 0
    stored = model.manifest.preprocessing
    x = (samples["x"] * stored.scale + stored.offset).astype(np.float32)
    name = next(iter(model.manifest.inputs))
    for at in range(0, count, size):
        out = next(iter(model.infer({name: x[at : at + size]}).values()))
        right += int((out[:, :10].argmax(1) == samples["y"][at : at + size]).sum())
    return right / count


def test_each_repetition_learns_the_same_and_without_a_sensor_the_reason_is_there(
    model: Artifact, train_data: Path, eval_data: Path, tmp_path: Path
) -> None:
    asked = request(model, train_data, eval_data, iterations=7)
    one, other = (learning.run(Opened(asked, tmp_path, lambda times: None)) for _ in range(2))
    assert one.values["accuracy_after"] == other.values["accuracy_after"]
    assert not [name for name in one.values if "joules" in name]
    assert "no battery" in one.absent["energy_joules"]


def test_no_samples_is_said(model: Artifact, train_data: Path, tmp_path: Path) -> None:
    asked = request(model, train_data, Path())
    opened = Opened(asked.__class__(**{**asked.__dict__, "eval_data": ""}), tmp_path, print)
    with pytest.raises(DataError, match="no evaluation data: name them in the plan, or start"):
        learning.run(opened)


def test_an_agent_learns_from_its_own_samples(
    serve: Any, model: Artifact, train_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    class Made:
        def __init__(self, request: Request, timeout_s: float) -> None:
            asked.append(request)

        def kill(self) -> None:
            """Does nothing."""

        def run(self, told: Any) -> Answer:
            told([1.0])
            return Answer("made 1", (1.0,), {}, {}, (), model.sha256)

    monkeypatch.setattr("tfplus.benchmark.own_process.OwnProcess", Made)
    server: AgentServer = serve("one")
    mine = request(model, Path("/etc/passwd"), Path("/etc/passwd"), iterations=1)
    with BenchmarkClient(server.address) as client:
        client.measure(mine, model.path, model.sha256, 5.0)
        client.measure(Request("", "train", 1, 1), model.path, model.sha256, 5.0)
    # What the caller would have it read is not even sent.
    assert [(r.data, r.eval_data) for r in asked] == [(str(train_data), ""), ("", "")]
    sent = messages.from_request(messages.to_request(mine, model.sha256, 5.0), "here")
    assert (sent.kind, sent.data) == (LEARNING, "")
