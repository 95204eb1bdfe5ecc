"""Campaigns over mutual TLS: the owner measures; a peer, a reader and a stranger do not."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfplus.benchmark.repetition import Answer, Request
from tfplus.campaign import devices, journal, runner
from tfplus.campaign.planning import plan_file
from tfplus.errors import RemoteError
from tfplus.fleet.clients.benchmark_client import BenchmarkClient
from tfplus.model_file.artifact import Artifact
from tfplus.wire import certs, roles
from tfplus.wire.tls import TlsFiles
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.server.agent_server import AgentServer, ServerConfig

NOW = datetime.datetime.now(datetime.timezone.utc)
Issue = Callable[..., TlsFiles]


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    certs.create_ca(tmp_path / "ca", NOW)

    def make(name: str, role: roles.Role = "owner") -> TlsFiles:
        certs.issue(name, ["127.0.0.1"], tmp_path / "ca", tmp_path / name, NOW, role=role)
        return TlsFiles.load(tmp_path / name)

    return make


@pytest.fixture
def secured(tmp_path: Path, train_data: Path, issue: Issue) -> Iterator[AgentServer]:
    device = DeviceConfig(name="a", state_dir=tmp_path / "state", data=train_data, threads=1)
    server = AgentServer(ServerConfig(device, "127.0.0.1:0", tls=issue("a")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, model: Artifact) -> list[Request]:
    """What repetitions were asked for; none is really run."""
    found: list[Request] = []

    class Made:
        def __init__(self, request: Request, timeout_s: float) -> None:
            found.append(request)
            self.request = request

        def kill(self) -> None:
            """Does nothing."""

        def run(self, told: Callable[[list[float]], None]) -> Answer:
            times = [2.0] * self.request.iterations
            told(times)
            return Answer("made 1", tuple(times), {}, {}, (), model.sha256)

    monkeypatch.setattr("tfplus.benchmark.own_process.OwnProcess", Made)
    return found


def test_an_owner_runs_a_campaign(
    secured: AgentServer, issue: Issue, asked: list[Request], model: Artifact, tmp_path: Path
) -> None:
    plan = plan_file.parse(
        f'name = "t"\ndevices = ["{secured.address}"]\nrepetitions = 1\niterations = 3\n'
        f'phases = ["infer"]\n[[models]]\nfile = "{model.path}"\n'
    )
    opener = devices.opener(issue("desk"))
    runner.run(plan, tmp_path / "r", open_device=opener)
    assert sum(e["event"] == "done" for e in journal.read(tmp_path / "r")) == len(asked) == 3


@pytest.mark.parametrize("role", ["peer", "reader"])
def test_who_is_no_owner_measures_nothing(
    secured: AgentServer, issue: Issue, asked: list[Request], model: Artifact, role: roles.Role
) -> None:
    with BenchmarkClient(secured.address, issue("desk")) as owner:
        owner.upload(model.path)
    said = f"'other' is a {role} and may not call"
    with BenchmarkClient(secured.address, issue("other", role)) as client:
        with pytest.raises(RemoteError, match=f"{said} DescribeDevice"):
            client.environment()
        with pytest.raises(RemoteError, match=said):
            client.measure(Request("", "train", 1, 3), model.path, model.sha256, 5.0)
        # Also without the upload that comes first.
        client.upload = lambda path: model.sha256
        with pytest.raises(RemoteError, match=f"{said} RunBenchmark"):
            client.measure(Request("", "train", 1, 3), model.path, model.sha256, 5.0)
    assert asked == []


def test_a_stranger_and_plaintext_are_not_let_in(
    secured: AgentServer, tmp_path: Path, asked: list[Request]
) -> None:
    certs.create_ca(tmp_path / "other-ca", NOW)
    certs.issue("desk", ["127.0.0.1"], tmp_path / "other-ca", tmp_path / "stranger", NOW)
    for files in (TlsFiles.load(tmp_path / "stranger"), None):
        with pytest.raises(RemoteError, match=secured.address):
            devices.Agent(secured.address, files, timeout_s=0.5)
    assert asked == []
