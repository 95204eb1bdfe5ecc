"""A served agent with a model and mutual TLS, for programs that know it by its protocol alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import numpy as np
import pytest

from tfplus.fleet.clients.client import AgentClient
from tfplus.wire import certs
from tfplus.wire.tls import TlsFiles
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.doctor.patient import probe
from tfplus_agent.server.agent_server import AgentServer, ServerConfig


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """The files of both sides: certificate and key of `a`, an owner on this machine."""
    folder = tmp_path_factory.mktemp("foreign-tls")
    now = datetime.datetime.now(datetime.timezone.utc)
    certs.create_ca(folder / "ca", now)
    certs.issue("a", ["localhost", "127.0.0.1"], folder / "ca", folder / "a", now)
    return TlsFiles.load(folder / "a")


@pytest.fixture(scope="session")
def served(tls: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServer]:
    """An agent in this process, with the doctor's model loaded."""
    folder = tmp_path_factory.mktemp("foreign")
    patient = probe()
    np.savez(folder / "d.npz", **patient.samples)
    device = DeviceConfig("a", folder / "state", folder / "d.npz", threads=1, accelerator="cpu")
    server = AgentServer(ServerConfig(device, "127.0.0.1:0", tls))
    server.start()
    with AgentClient(server.address, tls) as client:
        client.load(client.upload(patient.read.path))
    yield server
    server.stop()
