"""Campaigns that are run, cut off, and gone on with, on a real exported file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tfplus.campaign import journal, plan_file, results, runner, summary, worker
from tfplus.campaign.plan import Plan
from tfplus.cli.commands.campaign import app
from tfplus.errors import BusyError, DataError, UsageError, WorkerError
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


def made_up(request: worker.Request, timeout_s: float) -> worker.Answer:
    base = 10.0 if request.phase == "train" else 3.0
    return worker.Answer("made up 1", (base * 3, *[base] * (request.iterations - 1)), {})


def done_keys(folder: Path) -> list[str]:
    return [e["key"] for e in journal.read(folder) if e["event"] == "done"]


def test_what_was_measured_is_read_back(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    runner.run(plan, folder, measure=made_up)
    found = summary.of(results.read(folder))
    assert [s.median_ms for s in found] == [10.0 if s.cell.phase == "train" else 3.0 for s in found]
    assert all(s.is_valid for s in found), [s.verdict for s in found]
    rows = list(results.read(folder).rows())
    assert len(rows) == plan.runs * plan.iterations
    assert sum(row[8] for row in rows) == plan.runs, "the first iteration of each is warm-up"


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_after_a_stop_only_what_is_missing_runs(plan: Plan, tmp_path: Path, after: int) -> None:
    folder, calls = tmp_path / "r", []

    def stopping(request: worker.Request, timeout_s: float) -> worker.Answer:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(request)
        return made_up(request, timeout_s)

    with pytest.raises(KeyboardInterrupt):
        runner.run(plan, folder, measure=stopping)
    assert len(done_keys(folder)) == after

    def counted(request: worker.Request, timeout_s: float) -> worker.Answer:
        calls.append(request)
        return made_up(request, timeout_s)

    runner.run(plan, folder, measure=counted)
    assert len(calls) == plan.runs
    keys = done_keys(folder)
    assert len(keys) == len(set(keys)) == plan.runs
    runner.run(plan, folder, measure=stopping)
    assert len(done_keys(folder)) == plan.runs


SLOW = """
import os, sys
from pathlib import Path
from tfplus.campaign import plan_file, runner, worker
def measure(request, timeout_s):
    sys.stdout.write("x"); sys.stdout.flush()
    sys.stdin.read(1)
    return worker.Answer("made up 1", (30.0, *[10.0] * (request.iterations - 1)), {})
runner.run(plan_file.read(Path(sys.argv[1])), Path(sys.argv[2]), measure=measure)
"""


def test_killed_twice_no_run_is_missing_and_none_is_there_twice(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    for allowed in (3, 5):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(tmp_path / "c.toml"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        for _ in range(allowed):
            assert process.stdout.read(1) == b"x"
            process.stdin.write(b"g")
            process.stdin.flush()
        assert process.stdout.read(1) == b"x"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert len(done_keys(folder)) == 8
    runner.run(plan, folder, measure=made_up)
    keys = done_keys(folder)
    assert len(keys) == len(set(keys)) == plan.runs


def test_a_line_that_was_cut_off_is_done_again(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    runner.run(plan, folder, measure=made_up)
    path = folder / journal.NAME
    path.write_bytes(path.read_bytes()[:-20])
    assert len(done_keys(folder)) == plan.runs - 1
    runner.run(plan, folder, measure=made_up)
    assert len(done_keys(folder)) == plan.runs
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:3], b"{damaged", *lines[3:], b""]))
    with pytest.raises(DataError, match=r"journal.jsonl:4"):
        results.read(folder)


def test_what_fails_is_recorded_and_invalid(plan: Plan, tmp_path: Path) -> None:
    def failing(request: worker.Request, timeout_s: float) -> worker.Answer:
        if request.threads == 2:
            raise WorkerError("did not end within 1 s")
        return made_up(request, timeout_s)

    runner.run(plan, tmp_path / "r", measure=failing)
    for found in summary.of(results.read(tmp_path / "r")):
        if found.cell.threads == 2:
            assert found.median_ms is None
            assert found.verdict.startswith("INVALID: did not end within 1 s; too few repetitions")
        else:
            assert found.verdict == "valid"


def test_drift_of_the_reference_makes_numbers_suspect(plan: Plan, tmp_path: Path) -> None:
    taken = []

    def warming(request: worker.Request, timeout_s: float) -> worker.Answer:
        taken.append(request)
        factor = 1 + len(taken) / 20
        answer = made_up(request, timeout_s)
        return worker.Answer(answer.runtime, tuple(t * factor for t in answer.iteration_ms), {})

    runner.run(plan, tmp_path / "r", measure=warming)
    assert all("drift" in s.verdict for s in summary.of(results.read(tmp_path / "r")))


def test_folders_that_are_refused(plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    runner.run(plan, folder, measure=made_up)
    other = plan_file.parse(TEXT.replace("iterations = 6", "iterations = 7"), folder=tmp_path)
    with pytest.raises(UsageError, match="the result of another plan"):
        runner.run(other, folder, measure=made_up)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(UsageError, match="expected a new folder"):
        runner.run(plan, tmp_path / "full", measure=made_up)
    with journal.opened(folder), pytest.raises(BusyError, match="runs there already"):
        runner.run(plan, folder, measure=made_up)
    content = (tmp_path / "m.tflite").read_bytes()
    (tmp_path / "m.tflite").write_bytes(content + b"\0")
    with pytest.raises(Exception, match=r"m\.tflite"):
        runner.run(plan, folder, measure=made_up)


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
    (told,) = json.loads(campaign("show", str(tmp_path / "a"), "--json"))["summaries"]
    assert 0 < told["median_ms"] < 1000
    assert told["peak_rss_bytes"] > 1e7
    campaign("report", str(tmp_path / "a"), "-o", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    (change,) = json.loads(
        CliRunner()
        .invoke(app, ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"])
        .stdout
    )["changes"]
    assert change["ratio"]["value"] > 0
    assert change["least_p"] == pytest.approx(2 / 252)
