"""The graph for the GPU that an export adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus import artifact
from tfplus_export import targets
from tfplus_export.targets import Runtime

Run = Callable[..., tuple[int, str, str]]
SMALL = ("zoo:digits", "-o", "m.tflite", "--batch-size", "4", "--accelerator", "gpu")

pytestmark = pytest.mark.slow


def without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nonexistent")


def test_without_a_gpu_its_operators_are_looked_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(monkeypatch)
    code, _, error = run(*SMALL)
    assert code == 0, error
    read = artifact.read(Path("m.tflite"))
    (entry,) = read.manifest.accelerated
    assert "table" in entry.checked_by
    assert len(artifact.accelerated_graph(read, "gpu") or b"") == entry.size_bytes
    assert [r["on"] for r in read.manifest.parity["gpu"]["runs"]] == ["CPU"]


def test_an_operator_that_the_gpu_lacks_is_named_and_nothing_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(monkeypatch)
    known = targets.gpu_runtime()
    fewer = {n: v for n, v in known.operators.items() if n != "BATCH_MATMUL"}
    lacking = Runtime(known.name, known.version, fewer)
    monkeypatch.setattr(targets, "gpu_runtime", lambda: lacking)
    code, _, error = run(*SMALL)
    assert code == 4
    assert "BATCH_MATMUL" in error
    assert not Path("m.tflite").exists()


def test_an_accelerator_that_nobody_knows_is_a_mistake(run: Run) -> None:
    code, _, error = run("zoo:digits", "-o", "m.tflite", "--accelerator", "tpu")
    assert code == 2
    assert "gpu" in error
