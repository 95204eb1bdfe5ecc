"""A device, a server, a second device: what is sent, trained, fetched, refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfplus.errors import RemoteError
from tfplus.feature_server import head
from tfplus.feature_server.serving import FeatureServer, ServerConfig
from tfplus.feature_server.trainer import TrainingPolicy
from tfplus.features import sendings
from tfplus.features.index import Index
from tfplus.features.sendings import Sending
from tfplus.fleet.clients.feature_client import FeatureClient, header_of
from tfplus.model_file import artifact, weights_file
from tfplus_agent.features import kept
from tfplus_agent.features.flush import flush
from tfplus_agent.features.pull import pull

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
Asked = Callable[[Path | str, str], list[list[Any]]]
# Trained where the test says so.
NEVER = TrainingPolicy(every=10**6)


@pytest.fixture
def server(split_files: SimpleNamespace, tmp_path: Path) -> Iterator[FeatureServer]:
    config = ServerConfig(split_files.one, tmp_path / "hub", "127.0.0.1:0", policy=NEVER)
    serving = FeatureServer(config)
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture
def client(server: FeatureServer) -> Iterator[FeatureClient]:
    with FeatureClient(server.address) as connected:
        yield connected


def train(serving: FeatureServer) -> None:
    trainer = serving.trainer
    trainer._policy = TrainingPolicy(every=1, epochs=3, threads=1)
    assert trainer.train_if_due()
    assert not trainer.train_if_due()
    trainer._policy = NEVER


def test_the_whole_way(
    split_files: SimpleNamespace, tmp_path: Path, server: FeatureServer, client: FeatureClient
) -> None:
    model, folder = tmp_path / "m.tflite", tmp_path / "kept"
    shutil.copy(split_files.one, model)
    with kept.opened(model, folder) as opened:
        kept.annotate(opened, split_files.data)
        sent = flush(opened, client, "pi-1")
        assert (sent.samples, sent.batches, sent.held_samples) == (11, 1, 11)
        assert sent.sent_bytes > 11 * 36 * 4
        assert flush(opened, client, "pi-1").samples == 0
        (logged,) = opened.cache.uploads.every()
        assert (logged.samples, logged.layer, logged.server) == (11, "pool", server.address)
        _, rows = opened.cache.annotated()
    train(server)
    # The same as a training on one machine, of the same features in the server's order.
    got = pull(client, model, tmp_path / "w.safetensors", folder)
    assert (got.version, got.has_new_model) == (2, False)
    assert set(got.changed) == {
        f"shared/{layer}/{tensor}" for layer in ("dense", "logits") for tensor in ("kernel", "bias")
    }
    read, wanted = artifact.read(model), server.publisher.served.wanted
    held = server._store.samples(wanted.maker, wanted.hyper, rows.shape[1:])
    initial = artifact.initial_values(read)
    trained = head.train(read, initial, *held, epochs=3, seed=1, threads=1)
    fetched = weights_file.read(tmp_path / "w.safetensors")
    for name in got.changed:
        np.testing.assert_array_equal(fetched[name], trained.values[name])
    # Nothing changed since: nothing is sent. One tensor is lost: it alone is.
    again = pull(client, model, tmp_path / "w.safetensors", folder)
    assert again.changed == ()
    fetched["shared/logits/bias"] = fetched["shared/logits/bias"] + 1
    weights_file.write(tmp_path / "w.safetensors", fetched)
    assert pull(client, model, tmp_path / "w.safetensors", folder).changed == (
        "shared/logits/bias",
    )
    assert again.received_bytes < got.received_bytes < got.whole_bytes / 10


def test_a_flush_that_was_cut_off_counts_once(
    split_files: SimpleNamespace, tmp_path: Path, client: FeatureClient
) -> None:
    class Deaf(FeatureClient):
        def flush(self, *arguments: object) -> object:  # type: ignore[override]
            super().flush(*arguments)  # type: ignore[arg-type]
            raise RemoteError("the answer was lost")

    with kept.opened(split_files.one, tmp_path / "kept") as opened:
        kept.annotate(opened, split_files.data)
        with Deaf(client.address) as deaf, pytest.raises(RemoteError, match="lost"):
            flush(opened, deaf, "pi-1")
        assert len(opened.cache.uploads.pending()) == 1
        sent = flush(opened, client, "pi-1", sending=Sending(2.0))
        assert (sent.samples, sent.held_samples) == (11, 11)
        assert opened.cache.uploads.pending() == []
    # Each left twice, first as it is: whether it arrived is not known here.
    index = Index(tmp_path / "kept")
    assert sendings.histories(index.db) == {(Sending(), Sending(2.0)): 11}
    index.close()
    code, out, err = split_files.run("features", "privacy", "--feature-cache", tmp_path / "kept")
    assert code == 0, err
    assert re.search(r"11 +│ +2 +│ no bound +│ no bound", out)


def test_another_backbone_is_fetched_whole(split_files: SimpleNamespace, tmp_path: Path) -> None:
    model, folder, weights = tmp_path / "m.tflite", tmp_path / "kept", tmp_path / "w.safetensors"
    shutil.copy(split_files.one, model)
    with kept.opened(model, folder) as opened:
        kept.annotate(opened, split_files.data)
    for file, expected in ((split_files.two, (11, 0)), (split_files.other, (0, 11))):
        serving = FeatureServer(
            ServerConfig(file, tmp_path / file.stem, "127.0.0.1:0", policy=NEVER)
        )
        serving.start()
        with FeatureClient(serving.address) as client:
            got = pull(client, model, weights, folder)
            assert got.has_new_model
            # Behind a later layer features go on; behind other weights they are lost, and said so.
            assert (got.carried, got.lost) == expected
            assert model.read_bytes() == file.read_bytes()
            with kept.opened(model, folder) as opened:
                assert flush(opened, client, "pi-1").samples == expected[0]
        serving.stop()


def test_a_version_outlives_the_server(
    split_files: SimpleNamespace, tmp_path: Path, server: FeatureServer, client: FeatureClient
) -> None:
    with kept.opened(split_files.one, tmp_path / "kept") as opened:
        kept.annotate(opened, split_files.data)
        flush(opened, client, "pi-1")
    train(server)
    wanted = server.publisher.weights(2)
    server.stop()
    config = ServerConfig(split_files.one, tmp_path / "hub", "127.0.0.1:0", policy=NEVER)
    again = FeatureServer(config)
    again.start()
    with FeatureClient(again.address) as other:
        assert other.published().version == 2
        values, _ = other.pull(2, {})
    again.stop()
    for name, value in wanted.items():
        np.testing.assert_array_equal(values[name], value)
    again = FeatureServer(ServerConfig(split_files.other, tmp_path / "hub", "127.0.0.1:0"))
    assert again.publisher.version.number == 3
    again.stop()


def test_a_malicious_device_is_refused_and_named(
    server: FeatureServer, client: FeatureClient, tmp_path: Path, asked: Asked
) -> None:
    wanted = server.publisher.served.wanted
    made = wanted.maker, wanted.hyper
    rows = np.zeros((1, *wanted.shape), np.float32)
    rows[0, 0, 0, 0] = np.nan
    header = header_of("b", "mallory", made, wanted.shape, [bytes(16)], [0])
    with pytest.raises(RemoteError, match="'mallory' was refused: expected finite"):
        client.flush(header, rows)
    header = header_of("b", "mallory", made, wanted.shape, [bytes(16)], [3])
    with pytest.raises(RemoteError, match=r"labels \[3\]"):
        client.flush(header, np.zeros_like(rows))
    assert client.published().samples == 0
    told = asked(tmp_path / "hub", "SELECT why FROM refusals")
    assert len(told) == 2
    assert all("mallory" in why for (why,) in told)
