"""A plan's sub-models on live agents: put together, taken over by a new device, described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfplus.decoupling import plan_folder
from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file import artifact
from tfplus.proto.v1 import agent_pb2
from tfplus.tensors.slices import task_of
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.server.agent_server import AgentServer, ServerConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.parametrize("decoupled", [True], indirect=True, ids=["normalized"]),
]
HOLD = {"a": (9, 5), "c": (5, 0)}
COUNTS = {"a": {9: 7, 5: 5}, "c": {5: 4, 0: 4}}


@pytest.fixture
def agents(devices: dict[str, Path], data: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two agents that have trained an epoch: one all that it has, one its branches alone."""
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]
    servers: list[AgentServer] = []
    try:
        addresses: dict[str, str] = {}
        for name, counts in COUNTS.items():
            rows = np.concatenate([np.flatnonzero(y == c)[:n] for c, n in counts.items()])
            own = tmp_path / f"{name}.npz"
            np.savez(own, x=x[rows], y=y[rows])
            config = DeviceConfig(name, tmp_path / f"state-{name}", own, threads=1)
            servers.append(AgentServer(ServerConfig(config, "127.0.0.1:0")))
            servers[-1].start()
            addresses[name] = servers[-1].address
            with AgentClient(addresses[name]) as client:
                client.load(client.upload(devices[name]), fresh=True)
                for _ in client.train(2, report_every=1000):
                    pass
        yield addresses
    finally:
        for server in servers:
            server.stop()


def test_agents_are_put_together_and_taken_over(
    decoupled: Any, agents: dict[str, str], tmp_path: Path, tfplus: Any
) -> None:
    held = {}
    for name, address in agents.items():
        with AgentClient(address) as client:
            held[name] = client.weights()
    plan = plan_folder.read(decoupled.folder)
    given = [f"--agent={address}" for address in agents.values()]
    output = tmp_path / "g.safetensors"
    code, out, err = tfplus("recompose", decoupled.folder, *given, "-o", output, "--json")
    assert code == 0, err
    assert json.loads(out)["holders"] == {
        "5": ["agent 'a'", "agent 'c'"], "0": ["agent 'c'"], "9": ["agent 'a'"]
    }  # fmt: skip
    from safetensors.numpy import load_file

    whole = load_file(output)
    for name, value in whole.items():
        parts = {n: t[name] for n, t in held.items() if name in t}
        if name.endswith("moving_variance"):
            continue
        weights = [sum(COUNTS[n].values()) for n in parts]
        # The shared layers trained on one device alone.
        assert (len(parts) == 2) == (task_of(name) == "5"), name
        wanted = np.average(np.stack(list(parts.values())), axis=0, weights=weights)
        np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-7)
    assert any(np.abs(whole[n] - plan.weights[n]).max() > 1e-4 for n in whole)

    # A new device of the classes 0 and 9 goes on from what the agents learned; one that was away
    # from what one of them did, and else as the plan has it.
    new = tmp_path / "new.tflite"
    given = [f"--neighbour={address}" for address in agents.values()]
    common = ("-o", new, "--batch-size", "4", "--parity-steps", "1")
    code, out, err = tfplus("export", decoupled.folder, "--classes", "0,9", *given, *common)
    assert code == 0, err
    assert "class 0 goes on from agent 'c'" in out
    start = artifact.initial_values(artifact.read(new))
    for name in artifact.read(new).manifest.expected(weights_only=True):
        np.testing.assert_array_equal(start[name], whole[name])
        assert task_of(name) in (None, "0", "9")


def test_sub_models_gossip_and_are_put_together(
    decoupled: Any, devices: dict[str, Path], agents: dict[str, str], tmp_path: Path, tfplus: Any
) -> None:
    from safetensors.numpy import load_file

    plan, run = plan_folder.read(decoupled.folder), tmp_path / "run"
    given = [f"--agent={address}" for address in agents.values()]
    models = [f"--model={name}={devices[name]}" for name in agents]
    code, out, err = tfplus("gossip", *given, *models, "--rounds", "2", "-o", run, "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert all(agent["well"] for agent in summary["agents"].values())
    held = {}
    for name, address in agents.items():
        with AgentClient(address) as client:
            held[name] = client.weights()
            events = list(client.watch_job(summary["run_id"]))
        rounds = [e.gossip for e in events if e.kind == agent_pb2.JobEvent.ROUND]
        (other,) = set(agents) - {name}
        counted = [[(one.peer, one.round) for one in e.counted] for e in rounds]
        assert counted == [[(other, 1)], [(other, 2)]]
    code, out, err = tfplus("jobs", "list", agents["a"])
    assert (code, "round 2/2" in out) == (0, True), out + err
    also = ("--also", agents["c"], "--json")
    code, out, err = tfplus("jobs", "watch", agents["a"], summary["run_id"], *also)
    assert code == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    assert {(e["agent"], e["rounds_done"]) for e in told if e["kind"] == "round"} == {
        (address, round) for address in agents.values() for round in (1, 2)
    }
    # Of two neighbours each takes the mean of both, weighed by samples: they agree on what both
    # hold, the branch of class 5. What one of them holds stays its own.
    common = held["a"].keys() & held["c"].keys()
    assert {task_of(name) for name in common} == {"5"}
    whole = load_file(run / "recomposed.safetensors")
    assert whole.keys() == held["a"].keys() | held["c"].keys()
    for name, value in whole.items():
        for parts in held.values():
            if name in parts:
                np.testing.assert_allclose(parts[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    code, out, err = tfplus(
        "recompose", decoupled.folder, run / "recomposed.safetensors", "-o", tmp_path / "g.keras"
    )
    assert code == 0, err
    recomposed = keras.models.load_model(tmp_path / "g.keras")
    classes = {"5", "0", "9"}
    assert {task_of(name) for name in whole} >= classes
    for layer in recomposed.layers:
        for variable in layer.weights:
            name = plan_name(layer.name, variable.name)
            if name in whole:
                np.testing.assert_array_equal(np.asarray(variable), whole[name], err_msg=name)
                learned = np.abs(whole[name] - plan.weights[name]).max()
                assert task_of(name) is None or learned > 1e-6, name


def plan_name(layer: str, variable: str) -> str:
    """The slice that a Keras variable is, by the names that docs/decoupling.md gives."""
    if layer.startswith("task_"):
        _, task, own = layer.split("_", 2)
        return f"task/{task}/{own}/{variable}"
    return f"shared/{layer}/{variable}"


def test_agents_are_described_and_given_classes(
    decoupled: Any, agents: dict[str, str], tfplus: Any
) -> None:
    with AgentClient(agents["c"]) as client:
        said = client.describe(measure_speed=True)
    plan = plan_folder.read(decoupled.folder)
    assert dict(said.class_samples) == COUNTS["c"]
    assert said.model_name == plan.tag
    assert {f.name for f in said.frozen} == {"shared/stem/kernel", "shared/stem/bias"}
    assert said.flops_per_s > 1e6
    assert said.memory_bytes > 1e6
    given = [f"--agent={address}" for address in agents.values()]
    code, out, err = tfplus("assign", decoupled.folder, *given, "--json")
    assert code == 0, err
    classes = json.loads(out)["classes"]
    assert {n: set(c) for n, c in classes.items()} == {n: set(c) for n, c in HOLD.items()}


def test_other_shared_layers_and_other_plans_are_noticed(
    decoupled: Any, agents: dict[str, str], tmp_path: Path, tfplus: Any
) -> None:
    import dataclasses

    plan = plan_folder.read(decoupled.folder)
    changed = {**plan.weights, "shared/stem/bias": plan.weights["shared/stem/bias"] + 1}
    other = plan_folder.write(
        tmp_path / "other",
        dataclasses.replace(plan, weights=changed),
        lambda path: path.write_bytes((decoupled.folder / "model.keras").read_bytes()),
    )
    assert other.tag != plan.tag
    output = tmp_path / "g.safetensors"
    address = agents["c"]
    code, _, err = tfplus("recompose", tmp_path / "other", "--agent", address, "-o", output)
    assert code == 3
    assert f"agent 'c': was exported from '{plan.tag}'" in " ".join(err.split())
    assert not output.exists()
