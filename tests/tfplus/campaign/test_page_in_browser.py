"""A report with every kind of chapter, as a browser draws it: wide and narrow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tfplus.benchmark.repetition import Answer, Operation, Request
from tfplus.campaign import devices, results, runner
from tfplus.campaign.figures import report
from tfplus.campaign.planning import plan_file
from tfplus.measure.result import Environment
from tfplus.model_file.artifact import Artifact

ROOT = Path(__file__).resolve().parents[3]
HERE = Environment("board", "x86_64", "os", "6.1", "cpu", 2, None, 1 << 30, "3.11", "0.1", None)
TEXT = """
name = "everything"
iterations = 9
devices = ["one=h:1", "a-device-with-a-long-name=h:2"]
phases = ["train"]
priorities = ["foreground", "background"]
passes = ["timing", "energy", "operations"]
co_runners = ["compression", "response"]
[[models]]
file = "{file}"
"""


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "tools/screenshots.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(request: Request, timeout_s: float) -> Answer:
    base = 40_000.0 if request.kind == "timing" else 5.0 * request.threads
    values: dict[str, Any] = {"peak_rss_bytes": 1 << 26, "cpu_cores": 0.9}
    if request.kind == "energy":
        source = "energy battery_power_watts"
        values = {f"{source} {n}": 0.25 for n in ("joules_per_step", "joules_per_sample")}
        values |= {f"{source} idle_watts": 1.5, f"{source} kind": "integrated"}
    if request.kind == "operations":
        values = {"operations_sum_ms": 9.0, "profiled_step_ms": 9.1}
    if request.co_runner == "response":
        values = {f"{w}_missed_frames_share": 0.1 for w in ("alone", "beside")}
        values |= {f"{w}_lateness_p99_ms": 3.0 for w in ("alone", "beside")}
    elif request.co_runner:
        values = {"co_runner_slowdown_ratio": 1.5, "step_slowdown_ratio": 2.0}
    names = ("BATCH_MATMUL", "RESIZE_NEAREST_NEIGHBOR", "DEPTHWISE_CONV_2D", "CONCATENATION")
    rows = [
        Operation(f"{name}{i}" if i else name, "a/layer", phase, 1.0 + i)
        for phase in ("forward", "backward")
        for name in names
        for i in range(3)
    ]
    operations = tuple(rows) if request.kind == "operations" else ()
    times = tuple(base * (1 + 0.01 * i) for i in range(request.iterations))
    return Answer("made 1", times, values, {"battery_used_percent": "no battery"}, operations)


@pytest.mark.slow
def test_no_figure_is_empty_and_no_text_is_cut_off(
    screenshots: ModuleType, toy: Artifact, tmp_path: Path
) -> None:
    try:
        screenshots.chromium()
    except screenshots.NoChromiumError as error:
        pytest.skip(str(error))
    plan = plan_file.parse(TEXT.format(file=toy.path))
    device = devices.Local(made, HERE, 1 << 30)
    runner.run(plan, tmp_path / "r", open_device=lambda name, address: device)
    page = tmp_path / "page.html"
    page.write_text(report.render(results.read(tmp_path / "r")), "utf-8")
    text = page.read_text()
    for chapter in ("s 3 to 5", " 11", " 16", " 17"):
        assert f"Figure{chapter}" in text
    assert "Table 6" in text
    assert "by minute" in text
    for name, size in screenshots.SIZES.items():
        figures, faults = screenshots.measured(page, size)
        assert faults == [], name
        assert figures >= 9
    # The check sees what is wrong: a text that begins beyond its drawing.
    page.write_text(text.replace("</text>", "</text><text x='5000' y='9'>lost</text>", 1), "utf-8")
    _, faults = screenshots.measured(page, screenshots.SIZES["wide"])
    assert any("lost" in fault for fault in faults)
