"""The services of samples and sensors, against a real server; commands with `--agent`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tfplus.cli.main import app
from tfplus.data.store import database
from tfplus.data.store.sample_store import SampleStore
from tfplus.data.store.samples import Sample
from tfplus.errors import RemoteError, UsageError
from tfplus.fleet.clients.samples_client import SamplesClient
from tfplus.fleet.clients.telemetry_client import TelemetryClient
from tfplus.proto.v1 import samples_pb2 as pb
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.server.agent_server import AgentServer, ServerConfig
from tfplus_agent.server.callers.permissions import ALLOWED
from tfplus_agent.telemetry.sensors.registry import SENSORS

X = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("agent")
    with SampleStore(folder / "s.db", create=True) as store:
        store.add(X, 0)
    device = DeviceConfig("a", folder / "state", folder / "s.db", None)
    server = AgentServer(ServerConfig(device, "127.0.0.1:0"))
    server.start()
    yield server.address, folder / "s.db"
    server.stop()


@pytest.fixture
def client(agent: tuple[str, Path]) -> Iterator[SamplesClient]:
    with SamplesClient(agent[0]) as found:
        yield found


def test_what_was_answered_is_in_the_file_and_again_changes_nothing(
    client: SamplesClient, agent: tuple[str, Path]
) -> None:
    added = client.add(X + 1, 3, "mine")
    assert (added.new, added.label) == (True, 3)
    assert not client.add(X + 1, 3, "mine").new
    client.correct(added.id, 5)
    with SampleStore(agent[1]) as store:
        assert (added.id, "mine", 5) in [(s.id, s.name, s.label) for s in store.listed()]
        np.testing.assert_array_equal(store.read([added.id])[added.id], X + 1)
    assert client.forget([added.id, 999]) == 1
    with SampleStore(agent[1]) as store:
        assert added.id not in [s.id for s in store.listed()]
        assert store.about() == client.about()


def test_many_samples_are_a_few_commits(
    client: SamplesClient, agent: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[object] = []
    real = database.transaction
    monkeypatch.setattr(database, "transaction", lambda c: commits.append(c) or real(c))
    many = [Sample((X + at % 7).astype(np.uint8), 1, f"n{at}") for at in range(700)]
    before = client.about()[0]
    assert client.import_all(many) == (700, 0)
    assert len(commits) == 1
    assert client.import_all(many[:20]) == (0, 20)
    assert client.about() == (before + 700, (3, 4), "uint8")
    listed = client.listed(limit=705)
    assert [s.name for s in listed if s.name.startswith("n")] == [s.name for s in many]
    client.forget(s.id for s in listed if s.name.startswith("n"))


def test_what_is_no_sample_is_refused_in_words(client: SamplesClient) -> None:
    with pytest.raises(UsageError, match="over the network at most"):
        client.add(np.zeros(4 << 20, np.uint8), 1)
    with pytest.raises(UsageError, match="label -1"):
        client.import_all([Sample(X, -1)])
    with pytest.raises(RemoteError, match=r"expected a sample of uint8\[3, 4\]"):
        client.add(X.astype(np.float32), 1)
    with pytest.raises(RemoteError, match="no sample has the number 999"):
        client.correct(999, 1)
    good: dict[str, Any] = {"dtype": "uint8", "shape": [3, 4], "values": X.tobytes(), "label": 1}
    for change, message in (
        ({"label": None}, "expected a label"),
        ({"dtype": "object"}, "expected a dtype"),
        ({"shape": [2**31, 2**31, 2**31]}, "at most 8 axes"),
        ({"shape": [3, 5]}, "expected 15 bytes"),
        ({"shape": [1] * 60}, "at most 8 axes"),
    ):
        with pytest.raises(RemoteError, match=message), client._errors():
            client._stub.AddSample(pb.AddSampleRequest(**{**good, **change}))


def test_only_owners_may_see_or_change_samples_and_readers_read_sensors() -> None:
    for role in ("peer", "reader"):
        assert not any("Samples" in method for method in ALLOWED[role])
        assert "/tfplus.proto.v1.Telemetry/WatchSensors" in ALLOWED[role]


def test_sensors_tell_over_the_network_what_they_tell_here(agent: tuple[str, Path]) -> None:
    expected = {q for sensor in SENSORS for q in sensor.quantities}
    with TelemetryClient(agent[0]) as telemetry:
        once = telemetry.read()
        watched = telemetry.watch(0.2)
        several = [next(watched), next(watched)]
        watched.close()
        with pytest.raises(RemoteError, match=r"period: expected 0\.2 to 3600"):
            next(telemetry.watch(float("nan")))
    for told in (once, *several):
        assert {r.quantity for r in told.readings} >= expected
        assert set(told.costs_ms) == {sensor.name for sensor in SENSORS}
        assert all(r.HasField("value") != bool(r.absent_reason) for r in told.readings)
    assert several[1].time_s > several[0].time_s


def test_the_commands_do_it_on_an_agent(agent: tuple[str, Path], tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--agent", agent[0], "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    np.save(tmp_path / "x.npy", X + 9)
    np.savez(tmp_path / "d.npz", x=np.stack([X + 20, X + 21, X + 9]), y=[1, 2, 3])
    (added,) = run("samples", "add", str(tmp_path / "x.npy"), "--label", "3")["samples"]
    told = run("samples", "add", "--from", str(tmp_path / "d.npz"))
    assert told == {"stored": 2, "were_there": 1}
    assert run("samples", "correct", str(added["id"]), "--label", "4")["label"] == 4
    listed = run("samples", "list")["samples"]
    assert {"id": added["id"], "label": 4}.items() <= listed[1].items()
    ids = [str(s["id"]) for s in listed[1:]]
    assert run("samples", "forget", *ids) == {"forgotten": 3}
    assert {r["quantity"] for r in run("sensors")["readings"]} >= {"load_average_count"}
