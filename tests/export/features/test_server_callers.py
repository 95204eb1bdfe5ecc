"""Who may call a server of features, and many who call at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfplus.errors import RemoteError
from tfplus.feature_server.serving import FeatureServer, ServerConfig
from tfplus.feature_server.trainer import TrainingPolicy
from tfplus.fleet.clients.feature_client import FeatureClient, header_of
from tfplus.wire import certs, roles
from tfplus.wire.tls import TlsFiles

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
NEVER = TrainingPolicy(every=10**6)
CLIENTS = 256


def send(client: FeatureClient, serving: FeatureServer, device: str, number: int) -> int:
    """Sends one sample; returns how many the server holds."""
    wanted = serving.publisher.served.wanted
    key = number.to_bytes(16, "little")
    header = header_of(
        f"batch-{number}", device, (wanted.maker, wanted.hyper), wanted.shape, [key], [number % 3]
    )
    return client.flush(header, np.full((1, *wanted.shape), number, np.float32)).samples


def test_a_certificate_says_who_it_is(
    split_files: SimpleNamespace, tmp_path: Path, asked: Callable[[Path, str], list[list[Any]]]
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    certs.create_ca(tmp_path / "ca", now)
    for name, role in (("hub", "peer"), ("pi-1", "peer"), ("pi-2", "peer"), ("eye", "reader")):
        certs.issue(name, ["127.0.0.1"], tmp_path / "ca", tmp_path / name, now, role=role)
    tls = {n: TlsFiles.load(tmp_path / n) for n in ("hub", "pi-1", "pi-2", "eye")}
    config = ServerConfig(
        split_files.one, tmp_path / "state", "127.0.0.1:0", tls["hub"], policy=NEVER
    )
    serving = FeatureServer(config)
    serving.start()
    try:
        with FeatureClient(serving.address, tls["pi-1"]) as client:
            assert send(client, serving, "", 1) == 1
            # Another's name in the message is refused, and the one in the certificate is told.
            with pytest.raises(RemoteError, match=r"batch of 'pi-1' was refused.*of 'pi-2'"):
                send(client, serving, "pi-2", 2)
        assert asked(tmp_path / "state", "SELECT device FROM samples") == [["pi-1"]]
        with FeatureClient(serving.address, tls["eye"]) as client:
            assert client.published().samples == 1
            with pytest.raises(RemoteError, match="'eye' is a reader"):
                send(client, serving, "", 3)
            with pytest.raises(RemoteError, match="'eye' is a reader"):
                client.pull(1, {})
        revoked = roles.fingerprint(tls["pi-2"].cert.read_bytes())
        tls["hub"].revoked.write_text(f"{revoked} # lost\n")
        with (
            FeatureClient(serving.address, tls["pi-2"]) as client,
            pytest.raises(RemoteError, match="of 'pi-2' was revoked"),
        ):
            client.published()
        with FeatureClient(serving.address, timeout_s=5) as client, pytest.raises(RemoteError):
            client.published()
    finally:
        serving.stop()


def test_many_at_once_lose_nothing(split_files: SimpleNamespace, tmp_path: Path) -> None:
    config = ServerConfig(split_files.one, tmp_path / "state", "127.0.0.1:0", policy=NEVER)
    serving = FeatureServer(config)
    serving.start()

    def device(number: int) -> None:
        with FeatureClient(serving.address) as client:
            # Twice, as where the first answer was lost.
            send(client, serving, f"pi-{number}", number)
            send(client, serving, f"pi-{number}", number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(device, range(CLIENTS)))
    wanted = serving.publisher.served.wanted
    rows, labels = serving._store.samples(wanted.maker, wanted.hyper, wanted.shape)
    assert sorted(rows[:, 0, 0, 0].astype(int).tolist()) == list(range(CLIENTS))
    np.testing.assert_array_equal(labels, rows[:, 0, 0, 0].astype(int) % 3)
    serving.stop()


def test_what_is_published_has_that_number(split_files: SimpleNamespace, tmp_path: Path) -> None:
    serving = FeatureServer(
        ServerConfig(split_files.one, tmp_path / "state", "127.0.0.1:0", policy=NEVER)
    )
    serving.start()
    with FeatureClient(serving.address) as client:
        with pytest.raises(RemoteError, match="no version 9"):
            client.pull(9, {})
        told = client.published()
        told.model_sha256 = "0" * 64
        with pytest.raises(RemoteError, match="no model 00000000"):
            client.download(told, tmp_path / "m.tflite")
        told = client.published()
        told.model_bytes -= 1
        with pytest.raises(RemoteError, match="expected a model of"):
            client.download(told, tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()
    serving.stop()
