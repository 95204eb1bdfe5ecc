"""`tfplus gossip` as a user meets it: real agents in processes of their own, and mistakes."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_processes import addresses
from safetensors.numpy import load_file

from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = "from tfplus.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "gossip", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )


def agent_arguments(agents: dict[str, Any]) -> list[str]:
    return [text for address in addresses(agents) for text in ("--agent", address)]


def test_command_writes_the_recomposed_model(
    ring_of_agents: dict[str, Any], model: Artifact, tmp_path: Path
) -> None:
    listing = tmp_path / "ring.txt"
    listing.write_text("# the ring\n" + "\n".join(addresses(ring_of_agents)) + "  # last\n\n")
    out = tmp_path / "out"
    end = run_command(
        *("--agents-file", str(listing), "--model", str(model.path), "--rounds", "2"),
        *("-o", str(out), "--recompose", str(model.path), "--json"),
    )
    assert end.returncode == 0, end.stderr
    summary = json.loads(end.stdout)
    assert [a["state"] for a in summary["agents"].values()] == ["finished"] * 4
    assert summary["bytes_sent"] > 0
    assert "a: round 2/2, loss" in end.stderr
    values = load_file(out / "recomposed.safetensors")
    written = artifact.initial_values(artifact.read(out / "recomposed.tflite"))
    for name, value in values.items():
        np.testing.assert_array_equal(written[name], value)


def test_a_codec_sends_a_share_and_says_of_what(
    ring_of_agents: dict[str, Any], model: Artifact, tmp_path: Path
) -> None:
    end = run_command(
        *(*agent_arguments(ring_of_agents), "--model", str(model.path), "--rounds", "3"),
        *("--codec", "int8", "-o", str(tmp_path / "out"), "--json"),
    )
    assert end.returncode == 0, end.stderr
    summary = json.loads(end.stdout)
    assert summary["codec"] == "int8"
    assert summary["bytes_sent"] < 0.5 * summary["bytes_sent_as_float32"]
    for key in ("bytes_sent", "bytes_sent_as_float32"):
        assert summary[key] == sum(a[key] for a in summary["agents"].values())
    assert "with int8; float32 would have been" in end.stderr


@pytest.mark.slow
def test_command_goes_on_without_an_agent_and_says_so(
    ring_of_agents: dict[str, Any], model: Artifact, tmp_path: Path
) -> None:
    command = "from tfplus.cli.main import main; main()"
    arguments = [
        *agent_arguments(ring_of_agents),
        *("--model", str(model.path), "--rounds", "20", "--epochs", "3"),
        *("--round-timeout", "2", "-o", str(tmp_path / "out")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", command, "gossip", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("d: round 1/"):
            ring_of_agents["d"].end(signal.SIGKILL)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(120) == 5
    assert "d: lost" in rest
    assert "error: 1 of 4 agents did not finish: 'd'" in rest
    assert load_file(tmp_path / "out" / "recomposed.safetensors")


@pytest.mark.slow
def test_ctrl_c_stops_the_agents_and_the_run_can_be_gone_on_with(
    ring_of_agents: dict[str, Any], model: Artifact, tmp_path: Path
) -> None:
    command = "from tfplus.cli.main import main; main()"
    arguments = [
        *agent_arguments(ring_of_agents),
        *("--model", str(model.path), "--rounds", "25", "--epochs", "3"),
        *("-o", str(tmp_path / "out")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", command, "gossip", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    run_id = process.stderr.readline().split()[1]
    for line in process.stderr:
        if ": round 2/" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 130
    assert f"--resume {run_id}" in rest
    for agent in ring_of_agents.values():
        status = agent.client.status()
        assert not status.gossip_running
        assert status.gossip_run_id == run_id
    mistyped = run_command(*arguments, "--resume", f"{run_id}x")
    assert mistyped.returncode == 2
    assert f"no agent knows a run '{run_id}x'" in mistyped.stderr
    assert f"the last one that these agents know: '{run_id}'" in mistyped.stderr
    end = run_command(*arguments, "--resume", run_id, "--json")
    assert end.returncode == 0, end.stderr
    assert ": round 1/25" in end.stderr, "rounds done before are told again"
    assert {a["round"] for a in json.loads(end.stdout)["agents"].values()} == {25}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--rounds", "1"], 2, "no agent given"),
        (["--rounds", "1", "--agent", "nowhere"], 2, "host:port"),
        (["--rounds", "1", "--agent", "127.0.0.1:9", "--agent", "127.0.0.1:9"], 2, "comes twice"),
        (["--rounds", "1", "--agent", "127.0.0.1:9"], 5, "cannot be reached"),
        (["--rounds", "1", "--agent", "192.0.2.7:9"], 2, "not loopback"),
        (["--rounds", "0", "--agent", "127.0.0.1:9"], 2, "--rounds"),
        (["--rounds", "1", "--agent", "127.0.0.1:9", "--codec", "int4"], 2, "mean int8?"),
    ],
)
def test_mistakes_have_a_message_and_a_code(
    arguments: list[str], code: int, says: str, toy: Artifact, tmp_path: Path
) -> None:
    end = run_command(*arguments, "--model", str(toy.path), "-o", str(tmp_path / "out"))
    assert end.returncode == code, end.stderr
    assert says in end.stderr
    assert "Traceback" not in end.stderr


def test_model_that_is_none_is_told_before_any_agent_is_asked(tmp_path: Path) -> None:
    end = run_command("--agent", "127.0.0.1:9", "--rounds", "1", "--model", "no.tflite", "-o", "x")
    assert end.returncode == 3
    assert "no such file" in end.stderr
    assert not (tmp_path / "x").exists()


def test_models_that_cannot_be_averaged_are_told_before_any_agent_is_asked(
    toy: Artifact, tmp_path: Path
) -> None:
    first, *rest = toy.manifest.variables
    turned = dataclasses.replace(first, shape=first.shape[::-1])
    manifest = dataclasses.replace(toy.manifest, variables=(turned, *rest))
    content = toy.path.read_bytes()[: toy.manifest.flatbuffer_bytes]
    other = artifact.write(tmp_path / "other.tflite", content, manifest).path
    run = ["--agent", "127.0.0.1:9", "--rounds", "1", "-o", str(tmp_path / "out")]
    for arguments in (["--model", f"b={other}"], ["--recompose", str(other)]):
        end = run_command(*run, "--model", str(toy.path), *arguments)
        assert end.returncode == 3, end.stderr
        assert f"slice '{first.name}'" in end.stderr
    assert not (tmp_path / "out").exists()
