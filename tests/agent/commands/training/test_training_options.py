"""`tfplus train` with the options of a job: here as on an agent, and as `fit` has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from tfplus.cli import main
from tfplus.model_file.artifact import Artifact

# Real processes, and an agent.
pytestmark = pytest.mark.slow


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    assert result.exit_code == 0, (result.exit_code, result.stderr)
    return json.loads(result.stdout)


@pytest.fixture
def here(model: Artifact, train_data: Path, eval_data: Path, tmp_path: Path) -> Callable[..., Any]:
    """Trains here; what `--json` says, and the weights."""

    def train(*options: object) -> tuple[Any, dict[str, Any]]:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        given = ("--data", train_data, "--eval-data", eval_data, "--weights-out", path)
        done = run("train", model.path, *given, "--threads", 1, "--json", *options)
        return done, load_file(path)

    return train


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all((a[n] == b[n]).all() for n in a)


def test_steps_schedule_and_measurements_are_those_of_a_job(
    here: Callable[..., Any], start_agent: Callable[..., Any], model: Artifact, tmp_path: Path
) -> None:
    # Ten steps an epoch.
    options = ("--seed", 7, "--steps", 25, "--learning-rate", 0.05)
    options += ("--schedule", "cosine:to=0.1,warmup=4", "--validate-steps", 10)
    report, weights = here(*options)
    assert (report["steps"], report["ended"], len(report["epochs"])) == (25, "", 3)
    assert [m["step"] for m in report["validations"]] == [10, 20, 25]
    assert {"val_loss", "val_accuracy"} <= report["epochs"][0].keys()
    out = tmp_path / "there.safetensors"
    address = start_agent().ready["address"]
    given = ("--agent", address, "--weights-out", out, "--threads", 1, "--json")
    there = run("train", model.path, *given, *options)
    assert there["steps"] == 25
    for ours, theirs in zip(report["validations"], there["validations"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    kept = load_file(out)
    assert same(weights, kept)
    plain, others = here("--seed", 7, "--steps", 25)
    assert plain["steps"] == 25
    assert not same(weights, others)


def test_early_stopping_ends_at_the_best_weights(here: Callable[..., Any]) -> None:
    # So fast a training soon gets worse.
    options = ("--seed", 3, "--learning-rate", 0.5, "--validate-epochs", 1, "--patience", 2)
    report, weights = here("--epochs", 40, *options, "--restore-best")
    losses = [m["val_loss"] for m in report["validations"]]
    best = int(np.argmin(losses))
    assert report["steps"] == 10 * len(losses)
    if len(losses) < 40:
        assert len(losses) == best + 3
        assert report["ended"].startswith(f"stopped early after step {report['steps']}: loss did")
    assert report["ended"].endswith(f"the weights are those of step {10 * (best + 1)}")
    _, again = here("--epochs", best + 1, "--seed", 3, "--learning-rate", 0.5)
    assert same(weights, again)


def test_a_budget_of_time_ends_it_with_what_it_has(here: Callable[..., Any]) -> None:
    report, weights = here("--epochs", 100_000, "--max-time", "0.5s")
    assert report["ended"] == "its budget of 0.5 s is used up"
    assert 0 < report["steps"] < 1_000_000
    assert weights
    assert not report["interrupted"]
