"""`tfplus devices` against a real agent, and against a port where nobody is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tfplus.cli.commands.devices import app
from tfplus.cli.commands.top import app as top_app
from tfplus.errors import DataError, RemoteError
from tfplus.model_file.artifact import Artifact


def children(pid: int) -> list[Path]:
    """/proc of the processes that a process began."""
    begun = Path(f"/proc/{pid}").glob("task/*/children")
    return [Path("/proc") / child for file in begun for child in file.read_text().split()]


def nobodys_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_one_that_answers_and_one_that_does_not(
    start_agent: Callable[..., Any], model: Artifact, tmp_path: Path
) -> None:
    core = min(os.sched_getaffinity(0))
    agent = start_agent(**{"priority": "background", "cpus": str(core), "cpu-share": "90%"})
    agent.client.load(agent.client.upload(model.path))
    assert len(list(agent.client.train(max_steps=1))) == 2
    kept = [f for f in (tmp_path / "state").rglob("*") if f.is_file()]
    assert {"loaded.json", "lock"} < {f.name for f in kept}
    assert {f.name: f.stat().st_mode & 0o077 for f in kept if f.stat().st_mode & 0o077} == {}
    use = agent.client.status().processor_use
    assert (use.scheduler, use.nice, list(use.cpus), use.share) == ("idle", 19, [core], 0.9)
    (worker,) = children(agent.process.pid)
    # What the kernel says of every thread that trains, and of the daemon.
    stats = [f.read_text().rpartition(")")[2].split() for f in worker.glob("task/*/stat")]
    assert ("19", "5") in {(fields[16], fields[38]) for fields in stats}
    assert os.sched_getaffinity(int(worker.name)) == {core}
    assert os.getpriority(os.PRIO_PROCESS, agent.process.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    silent = nobodys_address()
    listed = tmp_path / "fleet.txt"
    listed.write_text(f"# two of them\n{agent.ready['address']}  # here\n\n{silent}\n")
    done = CliRunner().invoke(app, ["--agents-file", str(listed), "--timeout", "1", "--json"])
    assert done.exit_code == 5
    answered, lost = json.loads(done.stdout)
    assert answered["name"] == "a"
    assert answered["model_sha256"] == model.sha256
    assert answered["train_samples"] == 150
    assert answered["doing"] == "idle"
    assert answered["resident_bytes"] > 1e7
    assert answered["error"] == ""
    assert lost["address"] == silent
    assert silent in lost["error"]

    table = CliRunner().invoke(app, [agent.ready["address"]])
    assert table.exit_code == 0
    assert model.sha256[:12] in table.output

    top = CliRunner().invoke(top_app, [agent.ready["address"], "--json"])
    assert top.exit_code == 0
    (row,) = json.loads(top.stdout)
    told = {s["quantity"]: s for s in row["sensors"]}
    assert told["memory_available_bytes"]["value"] > 1e6
    assert all((s["value"] is None) == bool(s["absent_reason"]) for s in row["sensors"])
    table = CliRunner().invoke(
        top_app, [agent.ready["address"], silent, "--once", "--timeout", "1"]
    )
    assert table.exit_code == 5
    assert f" of {row['cores']}" in table.output
    with pytest.raises(RemoteError, match="quantity 'happiness': expected one"):
        agent.client.sensors(["happiness"])


def test_data_that_leads_in_a_circle(open_device: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="no such data"):
        open_device(load=None, data=tmp_path / "a")


def test_nothing_to_ask() -> None:
    done = CliRunner().invoke(app, [])
    assert "no agent given" in str(done.exception)
