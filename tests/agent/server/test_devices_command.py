"""`tfplus devices` against a real agent, and against a port where nobody is."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tfplus.cli.commands.devices import app
from tfplus.model_file.artifact import Artifact


def nobodys_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_one_that_answers_and_one_that_does_not(
    start_agent: Callable[..., Any], model: Artifact, tmp_path: Path
) -> None:
    agent = start_agent()
    agent.client.load(agent.client.upload(model.path))
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


def test_nothing_to_ask() -> None:
    done = CliRunner().invoke(app, [])
    assert "no agent given" in str(done.exception)
