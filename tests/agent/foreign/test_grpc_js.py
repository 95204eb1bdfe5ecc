"""@grpc/grpc-js: gRPC in JavaScript, from the .proto files; see `scripts/foreign-clients`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tfplus.fleet.clients.client import AgentClient
from tfplus.wire.tls import TlsFiles
from tfplus_agent.server.agent_server import AgentServer

PROTOS = Path(__file__).resolve().parents[3] / "protos"


def test_status_and_weights(served: AgentServer, tls: TlsFiles) -> None:
    script, node = os.environ.get("TFPLUS_GRPC_JS"), shutil.which("node")
    if script is None or node is None:
        pytest.skip("no node, or no @grpc/grpc-js: run scripts/foreign-clients")
    done = subprocess.run(
        [node, script, served.address, str(tls.cert.parent), str(PROTOS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    with AgentClient(served.address, tls) as client:
        weights, status = client.weights(), client.status()
    assert (found["name"], found["model_sha256"]) == ("a", status.model_sha256)
    assert sorted(found["names"]) == sorted(weights)
    assert found["bytes"] == sum(value.nbytes for value in weights.values())
