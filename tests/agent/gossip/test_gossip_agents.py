"""Real agents in processes of their own, on loopback."""

from __future__ import annotations

import dataclasses
import datetime
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tfplus.errors import RemoteError, UsageError
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.fleet.updates import Ended, Rejoined, Round
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensors
from tfplus.wire.certs import create_ca, issue
from tfplus.wire.tls import TlsFiles
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device
from tfplus_agent.gossip.rounds import round_seed

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

NAMES = ("a", "b", "c", "d")
StartAgents = Callable[[], dict[str, Any]]


def write_data(directory: Path) -> dict[str, Path]:
    """Each device has samples of its own, and more or fewer of them."""
    patterns = np.random.default_rng(0).integers(0, 17, (10, 8, 8, 1))
    paths: dict[str, Path] = {}
    for i, name in enumerate(NAMES):
        rng = np.random.default_rng(10 + i)
        y = rng.integers(0, 10, 48 + 16 * i)
        x = np.clip(patterns[y] + rng.integers(-2, 3, (len(y), 8, 8, 1)), 0, 16).astype(np.uint8)
        paths[name] = directory / f"{name}.npz"
        np.savez(paths[name], x=x, y=y)
    return paths


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    return write_data(tmp_path)


@pytest.fixture
def ring_of_agents(
    start_agent: Callable[..., Any], data: dict[str, Path], tmp_path: Path
) -> dict[str, Any]:
    """Four agents by name, not yet with a model."""
    return {
        name: start_agent(**{"name": name, "state-dir": str(tmp_path / name), "data": str(path)})
        for name, path in data.items()
    }


def addresses(agents: dict[str, Any]) -> list[str]:
    return [agent.ready["address"] for agent in agents.values()]


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"run_id": "run", "rounds": 3, "seed": 4, **changes})


@pytest.fixture
def devices(data: dict[str, Path], model: Artifact, tmp_path: Path) -> Iterator[dict[str, Device]]:
    """The same four devices again, in this process."""
    opened: dict[str, Device] = {}
    for name, path in data.items():
        config = DeviceConfig(name, tmp_path / f"twin-{name}", path, threads=1)
        opened[name] = Device(config)
        content = model.path.read_bytes()
        opened[name].models.add(model.sha256, len(content), [content])
        opened[name].load(model.sha256)
    yield opened
    for device in opened.values():
        device.close()


def test_ring_of_agents_equals_the_simulation(
    ring_of_agents: dict[str, Any], devices: dict[str, Device], model: Artifact
) -> None:
    with GossipSession(addresses(ring_of_agents), options(keep_snapshots=True)) as session:
        session.connect()
        assert session.names == NAMES
        session.load(dict.fromkeys(NAMES, model.path))
        assert session.start() == dict.fromkeys(NAMES, 0)
        updates = list(session.updates())
        recomposed = session.recompose()
        kept = {n: [session.weights(n, r) for r in (1, 2, 3)] for n in NAMES}
        final = {n: session.weights(n) for n in NAMES}

    def train_with(device: Device) -> simulation.Trainer:
        def train(round: int, tensors: Tensors) -> Tensors:
            device.set_weights(tensors)
            device.train(1, round_seed(4, round))
            return device.weights()

        return train

    nodes = {
        name: simulation.Node(
            ring(NAMES)[name],
            device.weights(),
            slice_weights(device.weights(), device.train_samples),
            train_with(device),
        )
        for name, device in devices.items()
    }
    expected = simulation.simulate(nodes, rounds=3)
    for name in NAMES:
        mine = [u for u in updates if isinstance(u, Round) and u.agent == name]
        assert [u.round for u in mine] == [1, 2, 3]
        assert all(u.responders == tuple(sorted(ring(NAMES)[name])) for u in mine)
        assert all("accuracy" in u.eval_metrics and u.train_s > 0 for u in mine)
        for result, weights in zip(expected.rounds[name], kept[name], strict=True):
            for slice_name, tensor in result.tensors.items():
                np.testing.assert_allclose(weights[slice_name], tensor, rtol=1e-5, atol=1e-6)
        for slice_name, tensor in final[name].items():
            np.testing.assert_array_equal(tensor, kept[name][-1][slice_name])
    assert {n: e.state for n, e in session.ends.items()} == dict.fromkeys(NAMES, "finished")
    sent = sum(u.sent_bytes for u in updates if isinstance(u, (Round, Ended)))
    received = sum(u.received_bytes for u in updates if isinstance(u, (Round, Ended)))
    assert sent > 3 * 8 * sum(t.nbytes for t in recomposed.values())
    # What one agent sent before its neighbour was told to start, or after it had ended, is lost.
    assert 0.8 * sent < received <= sent
    weighed = [slices.Contribution(final[n], nodes[n].slice_weights) for n in NAMES]
    for slice_name, tensor in slices.average(weighed).items():
        np.testing.assert_array_equal(recomposed[slice_name], tensor)


@pytest.mark.slow
def test_killed_agent_is_taken_back(
    ring_of_agents: dict[str, Any],
    start_agent: Callable[..., Any],
    data: dict[str, Path],
    model: Artifact,
    tmp_path: Path,
) -> None:
    run = options(rounds=60, epochs=3, round_timeout_s=3.0)
    told: list[Any] = []
    with GossipSession(addresses(ring_of_agents), run) as session:
        session.connect()
        session.load(dict.fromkeys(NAMES, model.path))
        session.start()
        victim = ring_of_agents["c"]
        restarted = threading.Thread(target=lambda: None)

        def restart() -> None:
            start_agent(
                **{
                    "name": "c",
                    "state-dir": str(tmp_path / "c"),
                    "data": str(data["c"]),
                    "listen": victim.ready["address"],
                }
            )

        for update in session.updates():
            told.append(update)
            if isinstance(update, Round) and update.agent == "c" and update.round == 2:
                assert victim.end(signal.SIGKILL) == -signal.SIGKILL
            missed = isinstance(update, Round) and update.missing == ("c",)
            if missed and not restarted.ident:
                restarted = threading.Thread(target=restart)
                restarted.start()
        restarted.join()
    lost = next(u for u in told if isinstance(u, Ended) and u.state == "lost")
    back = next(u for u in told if isinstance(u, Rejoined))
    assert (lost.agent, back.agent) == ("c", "c")
    assert back.round > lost.round >= 2
    assert {n: e.state for n, e in session.ends.items()} == dict.fromkeys(NAMES, "finished")
    of_b = [u for u in told if isinstance(u, Round) and u.agent == "b"]
    assert [u.round for u in of_b] == list(range(1, 61))
    first_missed = next(u.round for u in of_b if "c" in u.missing)
    assert any("c" in u.responders for u in of_b if u.round > first_missed)


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


def test_a_run_over_mutual_tls(
    start_agent: Callable[..., Any], model: Artifact, tmp_path: Path
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(tmp_path / "ca", now)
    for name in ("a", "b", "desk"):
        issue(name, ["127.0.0.1"], tmp_path / "ca", tmp_path / "certs" / name, now)
    started = {
        name: start_agent(
            **{
                "name": name,
                "state-dir": str(tmp_path / f"state-{name}"),
                "tls-dir": str(tmp_path / "certs" / name),
            }
        ).ready["address"]
        for name in ("a", "b")
    }
    tls = TlsFiles.load(tmp_path / "certs" / "desk")
    run = options(run_id="run", rounds=1, round_timeout_s=5.0, tls=tls)
    with GossipSession(list(started.values()), run) as session:
        session.connect()
        session.load(dict.fromkeys(started, model.path))
        session.start()
        rounds = {u.agent: u for u in session.updates() if isinstance(u, Round)}
    assert {name: r.responders for name, r in rounds.items()} == {"a": ("b",), "b": ("a",)}


def test_agents_of_one_name_are_refused(start_agent: Callable[..., Any], tmp_path: Path) -> None:
    twins = [start_agent(**{"state-dir": str(tmp_path / state)}) for state in ("one", "two")]
    session = GossipSession([t.ready["address"] for t in twins], options())
    with session, pytest.raises(UsageError, match="both called 'a'"):
        session.connect()


def test_agent_without_a_model_refuses_to_start(start_agent: Callable[..., Any]) -> None:
    agent = start_agent()
    with GossipSession([agent.ready["address"]], options()) as session:
        session.connect()
        with pytest.raises(RemoteError, match="no model is loaded"):
            session.start()
