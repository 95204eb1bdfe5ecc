"""Agents that measure, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.server.agent_server import AgentServer, ServerConfig

Serve = Callable[[str], AgentServer]


@pytest.fixture
def serve(tmp_path: Path, train_data: Path) -> Iterator[Serve]:
    """Starts agents by name, each on a free port of loopback."""
    started: list[AgentServer] = []

    def start(name: str) -> AgentServer:
        device = DeviceConfig(name=name, state_dir=tmp_path / name, data=train_data, threads=1)
        server = AgentServer(ServerConfig(device, "127.0.0.1:0"))
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
