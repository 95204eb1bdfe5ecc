"""A real agent in a process of its own, over gRPC on loopback."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from agent_calls import KERNEL, TIMEOUT_S, Start
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tfplus.errors import RemoteError
from tfplus.model_file.artifact import Artifact

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


def worker_of(agent: Any) -> int:
    """Process id of the agent's only child; it is one of whichever thread started it."""
    tasks = Path(f"/proc/{agent.process.pid}/task").iterdir()
    (child,) = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return int(child)


def test_upload_load_train_evaluate_and_weights_out_and_in(
    start_agent: Start, model: Artifact
) -> None:
    agent = start_agent()
    client = agent.client
    assert client.status().model_sha256 == ""
    sha256 = client.upload(model.path)
    assert client.upload(model.path) == sha256 == model.sha256
    loaded = client.load(sha256)
    assert (loaded.resumed_at_step, loaded.runtime) == (0, client.status().runtime)
    *steps, last = client.train(2, seed=1, report_every=4)
    assert [e.step.step for e in steps] == [4, 8, 12, 16, 20]
    assert (last.summary.steps, last.summary.trained_steps) == (20, 20)
    assert last.summary.memory.worker_rss_bytes > 1 << 20
    result = client.evaluate()
    assert (result.samples, result.known_samples) == (50, 50)
    weights = client.weights()
    assert set(weights) == {v.name for v in model.manifest.weights}
    ones = np.ones((16, 1), np.float32)
    answer = client.set_weights({KERNEL: ones})
    assert (answer.tensors, answer.saved) == (1, True)
    np.testing.assert_array_equal(client.weights([KERNEL])[KERNEL], ones)
    status = client.status()
    assert (status.name, status.trained_steps, status.model_sha256) == ("a", 20, sha256)
    assert (status.train_samples, status.eval_samples) == (150, 50)
    assert status.memory.daemon_rss_bytes > 1 << 20
    assert status.battery.HasField("percent") or status.battery.absent_reason


def test_health_and_reflection(agent: Any) -> None:
    with grpc.insecure_channel(agent.ready["address"]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "tfplus.proto.v1.Agent", "tfplus.proto.v1.Gossip"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert {"tfplus.proto.v1.Agent", "tfplus.proto.v1.Gossip"} <= set(services)


def test_a_worker_killed_in_mid_training_leaves_the_daemon_alive(agent: Any) -> None:
    client = agent.client
    list(client.train(1, seed=1))
    saved = client.weights(include_optimizer=True)
    # A run is many calls of the worker, and the signal may come between two of them.
    with pytest.raises(RemoteError, match=r"SIGKILL during '(train|idle)'.*last checkpoint"):
        for event in client.train(100_000, seed=2):
            if event.step.step == 15:
                os.kill(worker_of(agent), signal.SIGKILL)
    assert client.status().trained_steps == 10
    again = client.weights(include_optimizer=True)
    assert all(np.array_equal(again[name], saved[name]) for name in saved)
    *_, last = client.train(1, seed=3)
    assert last.summary.trained_steps == 20


def test_a_killed_daemon_resumes_at_what_it_acknowledged(
    start_agent: Start, agent: Any, model: Artifact
) -> None:
    list(agent.client.train(1, seed=1))
    agent.client.set_weights({KERNEL: np.ones((16, 1), np.float32)})
    acknowledged = agent.client.weights(include_optimizer=True)
    for event in agent.client.train(100_000, seed=2):
        if event.step.step == 15:
            break
    else:
        raise AssertionError("the training ended by itself")
    handle = os.pidfd_open(worker_of(agent))
    before = agent.client.status()
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL
    assert select.select([handle], [], [], TIMEOUT_S)[0], "the worker outlived the daemon"
    os.close(handle)
    again = start_agent()
    status = again.client.status()
    # Leaving the stream above may have stopped the training and saved it before the kill.
    assert status.trained_steps >= 10
    assert status.incarnation == before.incarnation + 1
    if status.trained_steps == 10:
        weights = again.client.weights(include_optimizer=True)
        assert all(np.array_equal(weights[name], acknowledged[name]) for name in weights)
    assert again.client.load(model.sha256).resumed_at_step == status.trained_steps


def test_a_daemon_killed_in_mid_training_resumes_at_the_step_before(
    start_agent: Start, agent: Any
) -> None:
    list(agent.client.train(1, seed=1))
    acknowledged = agent.client.weights(include_optimizer=True)
    with pytest.raises(RemoteError, match="cannot be reached, or went away"):
        for event in agent.client.train(100_000, seed=2):
            if event.step.step == 15:
                agent.process.kill()
    again = start_agent()
    assert again.client.status().trained_steps == 10
    weights = again.client.weights(include_optimizer=True)
    assert all(np.array_equal(weights[name], acknowledged[name]) for name in weights)


def test_a_caller_that_leaves_stops_the_training_and_its_steps_are_kept(
    start_agent: Start, agent: Any
) -> None:
    stream = agent.client.train(100_000, seed=1)
    assert next(stream).step.step == 1
    stream.close()
    # The next training waits for nothing and is refused until the first has saved.
    steps = 0
    while not steps:
        try:
            *_, last = agent.client.train(1, seed=2, max_steps=1)
            steps = last.summary.trained_steps
        except RemoteError as error:
            assert "training is under way" in str(error)
    assert steps > 1
    assert agent.end(signal.SIGTERM) == 0
    assert start_agent().client.status().trained_steps == steps


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_in_mid_training_saves_and_leaves_no_worker(
    start_agent: Start, agent: Any, number: signal.Signals, code: int
) -> None:
    stream = agent.client.train(100_000, seed=1)
    next(stream)
    handle = os.pidfd_open(worker_of(agent))
    agent.process.send_signal(number)
    *_, last = stream
    assert last.summary.steps > 0
    assert agent.end() == code
    assert select.select([handle], [], [], TIMEOUT_S)[0], "the worker outlived the daemon"
    os.close(handle)
    assert start_agent().client.status().trained_steps == last.summary.trained_steps


def test_while_it_trains_others_read_and_nothing_else(agent: Any, model: Artifact) -> None:
    client = agent.client
    stream = client.train(100_000, seed=1)
    next(stream)
    for call in (
        lambda: list(client.train(1)),
        lambda: client.load(model.sha256),
        lambda: client.set_weights({KERNEL: np.ones((16, 1), np.float32)}),
    ):
        with pytest.raises(RemoteError, match="training is under way on this agent"):
            call()
    read, measured = client.read_weights(), client.evaluate()
    assert read.source == "worker"
    assert 0 < read.trained_steps <= measured.trained_steps
    assert client.status().name == "a"
    stream.close()


def test_the_ready_file_names_the_address(start_agent: Start, tmp_path: Path) -> None:
    agent = start_agent(**{"ready-file": str(tmp_path / "ready.json")})
    text = (tmp_path / "ready.json").read_text()
    assert agent.ready["address"] in text
    assert agent.ready == {
        "address": agent.ready["address"],
        "name": "a",
        "pid": agent.process.pid,
    }
