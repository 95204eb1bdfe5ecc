"""An agent in its own process: what it refuses, over the wire and on the command line."""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from agent_calls import KERNEL, TIMEOUT_S, Start

from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.wire import certs
from tfplus.wire.tensors import to_parts
from tfplus.wire.tls import TlsFiles

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


@pytest.fixture
def stub(agent: Any) -> Iterator[agent_pb2_grpc.AgentStub]:
    """The bare service, for calls that the client would never make."""
    with grpc.insecure_channel(agent.ready["address"]) as channel:
        yield agent_pb2_grpc.AgentStub(channel)


def run_agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = "from tfplus.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "agent", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def refused(code: grpc.StatusCode, message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert (caught.value.code(), message in caught.value.details()) == (code, True), (
        caught.value.details()
    )


def upload(*parts: pb.UploadModelRequest) -> Iterator[pb.UploadModelRequest]:
    yield from parts


def head(sha256: str, size_bytes: int) -> pb.UploadModelRequest:
    return pb.UploadModelRequest(header=pb.UploadModelHeader(sha256=sha256, size_bytes=size_bytes))


def test_uploads_that_are_not_what_they_say(
    agent: Any, stub: agent_pb2_grpc.AgentStub, toy: Artifact
) -> None:
    content = toy.path.read_bytes()
    chunk = pb.UploadModelRequest(chunk=content)
    size, invalid = len(content), grpc.StatusCode.INVALID_ARGUMENT
    for message, parts in (
        ("expected a header first", [chunk]),
        ("expected a header first", []),
        ("it ended after", [head(toy.sha256, size), pb.UploadModelRequest(chunk=content[:-1])]),
        ("more came", [head(toy.sha256, size - 1), chunk]),
        ("expected a file with SHA-256", [head("0" * 64, size), chunk]),
        ("expected a SHA-256", [head("../../../etc/passwd", size), chunk]),
        ("expected 1 to", [head(toy.sha256, 1 << 60), chunk]),
        ("expected chunks after", [head(toy.sha256, size), head(toy.sha256, size)]),
    ):
        refused(invalid, message, lambda p=parts: stub.UploadModel(upload(*p)))
        assert not stub.FindModel(pb.FindModelRequest(sha256=toy.sha256)).present
    # A message above the cap never gets as far as the agent's own code.
    with pytest.raises(grpc.RpcError):
        stub.UploadModel(
            upload(head(toy.sha256, 1 << 30), pb.UploadModelRequest(chunk=bytes(5 << 20)))
        )
    refused(
        invalid, "upload it first", lambda: stub.LoadModel(pb.LoadModelRequest(sha256="1" * 64))
    )
    refused(invalid, "SHA-256", lambda: stub.LoadModel(pb.LoadModelRequest(sha256="/etc/passwd")))
    assert list(agent.client.train(1, max_steps=1))


def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    agent: Any, stub: agent_pb2_grpc.AgentStub
) -> None:
    before = agent.client.weights()
    good = np.ones((16, 1), np.float32)
    for message, tensors in (
        ("expected float32[16, 1], got float32[1, 16]", {KERNEL: good.T}),
        ("got int32", {KERNEL: good.astype(np.int32)}),
        ("NaN", {KERNEL: good * np.nan}),
        ("unknown", {"shared/none": good}),
        ("no tensors", {}),
    ):
        with pytest.raises(RemoteError) as caught:
            agent.client.set_weights(tensors)
        assert message in str(caught.value)
    header, chunk = to_parts({KERNEL: good})
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    damaged = tensors_pb.TensorSetPart(chunk=b"\1" + chunk.chunk[1:])
    for message, parts in (
        ("do not match their SHA-256", [header, damaged]),
        ("it ended after", [header]),
        ("more came", [header, chunk, chunk]),
        ("expected a header first", [chunk]),
    ):
        refused(invalid, message, lambda p=parts: stub.SetWeights(iter(p)))
    huge = tensors_pb.TensorSetHeader()
    huge.tensors.add(name=KERNEL, dtype=1, shape=[1 << 31, 1 << 31], sha256=bytes(32))
    refused(
        invalid,
        "is above",
        lambda: stub.SetWeights(iter([tensors_pb.TensorSetPart(header=huge)])),
    )
    after = agent.client.weights()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_no_model_no_epochs_no_evaluation_data(
    start_agent: Start, model: Artifact, train_data: Path
) -> None:
    client = start_agent().client
    with pytest.raises(RemoteError, match="no model is loaded"):
        list(client.train(1))
    client.load(client.upload(model.path))
    with pytest.raises(RemoteError, match="at least one epoch"):
        list(client.train(0))
    with pytest.raises(RemoteError, match="no slice under 'task/77'"):
        client.weights(["task/77"])
    with pytest.raises(RemoteError, match="no gossip run on this agent yet"):
        client.weights(gossip_round=1)


def test_labels_out_of_range_and_wrong_shapes_are_refused_at_load(
    start_agent: Start, make_data: Callable[..., Path], model: Artifact, tmp_path: Path
) -> None:
    for number, (changes, message) in enumerate(
        (
            ({"y": np.full(20, 10)}, r"label 10 \(sample 0\)"),
            ({"x": np.zeros((20, 28, 28, 1))}, r"\[28, 28, 1\].*takes \[8, 8, 1\]"),
            ({"x": np.full((20, 8, 8, 1), np.nan)}, "sample 0 holds NaN"),
        )
    ):
        agent = start_agent(
            data=str(make_data(20, **changes)), **{"state-dir": str(tmp_path / str(number))}
        )
        sha256 = agent.client.upload(model.path)
        with pytest.raises(RemoteError, match=message):
            agent.client.load(sha256)
        assert agent.client.status().model_sha256 == ""


def test_what_the_command_line_refuses(
    agent: Any, make_data: Callable[..., Path], tmp_path: Path, train_data: Path
) -> None:
    data = ["--data", str(train_data)]
    state = ["--state-dir", str(tmp_path / "other")]
    free = ["--listen", "127.0.0.1:0"]
    empty = make_data(20, x=np.zeros((0, 8, 8, 1)), y=np.zeros(0, int))
    for code, message, arguments in (
        (5, "the port is in use", [*data, *state, "--listen", agent.ready["address"]]),
        (
            5,
            f"another agent (pid {agent.process.pid})",
            [*data, *free, "--state-dir", str(tmp_path / "state")],
        ),
        (3, "no such data", ["--data", str(tmp_path / "none.npz"), *state, *free]),
        (3, "at least one sample", ["--data", str(empty), *state, *free]),
        (2, "is not loopback", [*data, *state, "--listen", "0.0.0.0:0"]),
        (2, "no such file", [*data, *state, *free, "--tls-dir", str(tmp_path)]),
        (2, "--name", [*data, *state, *free, "--name", "../x"]),
        (2, "auto, ai-edge-litert", [*data, *state, *free, "--runtime", "torch"]),
        (2, "expected host:port", [*data, *state, "--listen", "nowhere"]),
    ):
        result = run_agent(*arguments)
        assert (result.returncode, result.stdout) == (code, ""), result
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert agent.client.status().name == "a"


def test_an_agent_that_is_not_there(tmp_path: Path, start_agent: Start) -> None:
    agent = start_agent()
    address = agent.ready["address"]
    agent.end(signal.SIGTERM)
    with AgentClient(address) as client:
        with pytest.raises(RemoteError, match=f"agent {address}: cannot be reached.*is it running"):
            client.status()
        with pytest.raises(RemoteError, match="not reached within"):
            client.wait_ready(0.2)


def test_mutual_tls_lets_in_the_projects_own_alone(start_agent: Start, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    for ca in ("ours", "theirs"):
        certs.create_ca(tmp_path / ca, now)
        for name in ("pi", "desk"):
            certs.issue(name, ["localhost"], tmp_path / ca, tmp_path / f"{ca}-{name}", now)
    tls_dir = str(tmp_path / "ours-pi")
    agent = start_agent(**{"tls-dir": tls_dir, "listen": "localhost:0", "name": "pi"})
    address = agent.ready["address"]
    with AgentClient(address, TlsFiles.load(tmp_path / "ours-desk")) as client:
        assert client.status().name == "pi"
    for stranger in (TlsFiles.load(tmp_path / "theirs-desk"), None):
        with (
            AgentClient(address, stranger, timeout_s=5) as client,
            pytest.raises(RemoteError, match="do both sides use TLS"),
        ):
            client.status()


def test_a_certificate_gives_the_name_and_takes_no_other(
    start_agent: Start, tmp_path: Path, train_data: Path
) -> None:
    certs.create_ca(tmp_path / "ca", datetime.datetime.now(datetime.timezone.utc))
    now = datetime.datetime.now(datetime.timezone.utc)
    certs.issue("pi", ["localhost"], tmp_path / "ca", tmp_path / "pi", now)
    arguments = ["--data", str(train_data), "--listen", "localhost:0"]
    arguments += ["--state-dir", str(tmp_path / "state"), "--tls-dir", str(tmp_path / "pi")]
    result = run_agent(*arguments, "--name", "other")
    assert result.returncode == 2
    assert "is of 'pi'" in result.stderr
    agent = start_agent(**{"tls-dir": str(tmp_path / "pi"), "listen": "localhost:0", "name": None})
    assert agent.ready["name"] == "pi"
