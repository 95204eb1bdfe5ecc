"""A daemon that ends while a gossip run's worker hangs does not wait for it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.device import device as device_module
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.jobs import queue
from tfplus_agent.server.agent_server import AgentServer, ServerConfig

# A real worker, and a model that is exported.
pytestmark = pytest.mark.slow

PLAN = pb.GossipPlan(run_id="run", rounds=1000, epochs_per_round=5, round_timeout_s=1)


def test_a_hung_worker_does_not_keep_the_daemon(
    model: Artifact, train_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_CLOSE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(device_module, "_CLOSE_TIMEOUT_S", 0.5)
    device = DeviceConfig("a", tmp_path / "state", train_data, threads=1)
    server = AgentServer(ServerConfig(device, "127.0.0.1:0"))
    server.start()
    with AgentClient(server.address) as client:
        client.load(client.upload(model.path), fresh=True)
        client.start_gossip(PLAN)
        events = client.watch_gossip("run")
        next(events)
        pid = server.device.worker_pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        server.stop()
        took_s = time.monotonic() - began
    # The grace of the server's calls, and twice what was set above.
    assert took_s < 20
    again = AgentServer(ServerConfig(device, "127.0.0.1:0"))
    again.start()
    try:
        with AgentClient(again.address) as client:
            job = next(e for e in client.watch_job("run") if e.kind == pb.JobEvent.RESUMED)
            assert job.rounds_done >= 1
            assert client.cancel_job("run")
    finally:
        again.stop()
