"""Campaigns that are run, cut off, and gone on with, on a real exported file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tfplus.benchmark.repetition import Answer, Measure, Request
from tfplus.campaign import devices, journal, results, runner, summary
from tfplus.campaign.planning import plan_file
from tfplus.campaign.planning.plan import Plan
from tfplus.cli.commands.campaign import app
from tfplus.model_file.artifact import Artifact

TEXT = """
name = "t"
repetitions = 5
iterations = 6
threads = [1, 2]
phases = ["train", "infer"]

[[models]]
file = "m.tflite"
"""


@pytest.fixture
def plan(model: Artifact, tmp_path: Path) -> Plan:
    shutil.copy(model.path, tmp_path / "m.tflite")
    (tmp_path / "c.toml").write_text(TEXT)
    return plan_file.read(tmp_path / "c.toml")


def made_up(request: Request, timeout_s: float) -> Answer:
    base = 10.0 if request.phase == "train" else 3.0
    return Answer("made up 1", (base * 3, *[base] * (request.iterations - 1)), {})


def run(plan: Plan, folder: Path, measure: Measure) -> None:
    device = devices.Local(measure, memory_bytes=1 << 40)
    runner.run(plan, folder, open_device=lambda name, address: device)


def done_keys(folder: Path) -> list[str]:
    return [e["key"] for e in journal.read(folder) if e["event"] == "done"]


def test_what_was_measured_is_read_back(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    run(plan, folder, made_up)
    found = summary.of(results.read(folder))
    assert [s.median_ms for s in found] == [10.0 if s.cell.phase == "train" else 3.0 for s in found]
    assert all(s.is_valid for s in found), [s.verdict for s in found]
    rows = list(results.read(folder).rows())
    assert len(rows) == plan.runs * plan.iterations
    assert sum(row[8] for row in rows) == plan.runs, "the first iteration of each is warm-up"


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_after_a_stop_only_what_is_missing_runs(plan: Plan, tmp_path: Path, after: int) -> None:
    folder, calls = tmp_path / "r", []

    def stopping(request: Request, timeout_s: float) -> Answer:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(request)
        return made_up(request, timeout_s)

    with pytest.raises(KeyboardInterrupt):
        run(plan, folder, stopping)
    assert len(done_keys(folder)) == after

    def counted(request: Request, timeout_s: float) -> Answer:
        calls.append(request)
        return made_up(request, timeout_s)

    run(plan, folder, counted)
    assert len(calls) == plan.runs
    keys = done_keys(folder)
    assert len(keys) == len(set(keys)) == plan.runs
    run(plan, folder, stopping)
    assert len(done_keys(folder)) == plan.runs


def test_the_commands_measure_show_report_and_compare(plan: Plan, tmp_path: Path) -> None:
    text = TEXT.replace("threads = [1, 2]", "threads = 1").replace(
        '["train", "infer"]', '["train"]'
    )
    (tmp_path / "c.toml").write_text(text)

    def campaign(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    planned = json.loads(campaign("plan", str(tmp_path / "c.toml"), "--json"))
    assert len(planned["forecasts"]) == 1
    for name in ("a", "b"):
        campaign("run", str(tmp_path / "c.toml"), "-o", str(tmp_path / name))
    shown = json.loads(campaign("show", str(tmp_path / "a"), "--json"))
    assert shown["account"]["once"] == shown["account"]["planned"] > 0
    (told,) = shown["summaries"]
    assert 0 < told["median_ms"] < 1000
    assert told["peak_rss_bytes"] > 1e7
    campaign("report", str(tmp_path / "a"), "-o", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "m.tflite" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    campaign("report", str(tmp_path / "a"), "--out", str(tmp_path / "figures"))
    assert (tmp_path / "figures" / "report.html").read_text() == page
    campaign("table", str(tmp_path / "a"), "-o", str(tmp_path / "rows.csv"))
    rows = (tmp_path / "rows.csv").read_text()
    assert rows == (tmp_path / "a" / "iterations.csv").read_text()
    campaign("publish", str(tmp_path / "a"), "-o", str(tmp_path / "public"))
    assert str(tmp_path) not in (tmp_path / "public" / "journal.jsonl").read_text()
    (change,) = json.loads(
        CliRunner()
        .invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"])
        .stdout
    )["changes"]
    assert change["ratio"]["value"] > 0
    assert change["least_p"] == pytest.approx(2 / 252)
