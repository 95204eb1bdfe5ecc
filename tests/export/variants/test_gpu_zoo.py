"""Steps on the GPU delegate; `scripts/test-gpu --zoo` takes every model of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gpu import document, zoo
from rule_cases import CASES

from tfplus.model_file import artifact

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.usefixtures("gpu_present")
def test_a_convolution_and_its_gradients_are_right() -> None:
    found = document.of_rule(CASES["Conv2D"])
    assert found.right, found.says


@pytest.mark.slow
@pytest.mark.usefixtures("gpu_present")
def test_the_delegate_takes_the_step_and_computes_what_the_cpu_does(run: Run) -> None:
    arguments = ("--batch-size", "2", "--parity-steps", "1", "--optimizer", "adam")
    code, _, error = run("zoo:lenet", "-o", "m.tflite", "--accelerator", "gpu", *arguments)
    assert code == 0, error
    manifest = artifact.read(Path("m.tflite")).manifest
    (entry,) = manifest.accelerated
    assert "delegate" in entry.checked_by
    runs = {r["on"]: r for r in manifest.parity["gpu"]["runs"]}
    assert runs["GPU"]["loss"] <= 1e-4
    assert runs["GPU"]["update"] <= 1e-3


@pytest.mark.slow
@pytest.mark.usefixtures("gpu_present")
@pytest.mark.parametrize(
    ("model", "optimizer", "steps"),
    [
        ("small-cnn", "momentum", 10),
        ("grouped", "adam", 10),
        ("keyword-cnn", "sgd", 10),
    ],
)
def test_steps_on_their_own_stay_with_those_of_the_cpu(
    model: str, optimizer: str, steps: int
) -> None:
    found = zoo.asked(model, optimizer, steps)
    assert zoo.holds(found), found
    assert len(found["losses"]) == steps
    assert found["loss"] <= 1e-4
    assert found["weights"] <= 1e-3
