"""A campaign on two real agents, killed twice: no run is measured twice, and none is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfplus.model_file.artifact import Artifact

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_killed_twice_it_ends_with_one_result_a_run(model: Artifact, tmp_path: Path) -> None:
    plan = tmp_path / "tiny.toml"
    plan.write_text(
        'name = "tiny"\nrepetitions = 2\niterations = 3\nphases = ["infer"]\n'
        f'[[models]]\nfile = "{model.path}"\n'
    )
    script = ROOT / "benchmarks" / "campaign_kills.py"
    command = [sys.executable, str(script), str(plan), "--json", "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["planned"], found["once"], found["starts"]) == (12, 12, 3)
    assert (found["twice"], found["missing"], found["unknown"]) == ([], [], [])
    assert found["ran_by"] == {"one": 6, "two": 6}
    assert 2 <= found["cut_off"] <= 4
    events = (tmp_path / "out" / "result" / "journal.jsonl").read_text().splitlines()
    threads = {e["device"]: {} for e in map(json.loads, events) if e["event"] == "done"}
    for event in map(json.loads, events):
        if event["event"] == "done" and not event["reference"]:
            settings = event["repetition"]["configuration"]["settings"]
            threads[event["device"]] = settings["threads"]
    assert threads == {"one": 1, "two": 2}
