"""The freeze point moves while the server runs, and devices follow with what they kept."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tfplus.feature_server.serving import FeatureServer, ServerConfig
from tfplus.feature_server.state.records import FeatureBatch
from tfplus.feature_server.state.store import Store
from tfplus.feature_server.trainer import TrainingPolicy
from tfplus.features import signature
from tfplus.fleet.clients.feature_client import FeatureClient, header_of
from tfplus.model_file import artifact
from tfplus_agent.features import kept
from tfplus_agent.features.flush import flush
from tfplus_agent.features.pull import pull

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
# Trained where the test says so.
NEVER = TrainingPolicy(every=10**6, epochs=6, threads=1)
SHAPE = (3, 3, 4)
# A server that stands still at a moment of its first training's publication, and says so.
SERVER = """
import sys, threading
from pathlib import Path
import sqlalchemy
from tfplus.feature_server.serving import FeatureServer, ServerConfig
from tfplus.feature_server.state.store import Store
from tfplus.feature_server.trainer import TrainingPolicy
moment, state, one, other = sys.argv[1:]
publish = Store.publish

def stand_still(*_):
    print("here", flush=True)
    threading.Event().wait()

def publish_until(store, version, weights):
    if version.number == 1:
        return publish(store, version, weights)
    if moment == "decided":
        stand_still()
    if moment == "inserted":
        sqlalchemy.event.listen(store._engine, "commit", stand_still)
    publish(store, version, weights)
    stand_still()

Store.publish = publish_until
policy = TrainingPolicy(every=20, epochs=6, threads=1)
config = ServerConfig(Path(one), Path(state), "127.0.0.1:0", policy=policy, others=(Path(other),))
FeatureServer(config).start()
print("serves", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def late(split_files: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`split_files.one`, cut again behind `dense`, which makes 8 numbers of 36."""
    path = tmp_path_factory.mktemp("late") / "late.tflite"
    code, _, err = split_files.run(
        "export", split_files.one.with_name("net.keras"), "-o", path, "--batch-size", 4,
        "--parity-steps", 1, "--split", "pool", "--split", "dense",
    )  # fmt: skip
    assert code == 0, err
    return path


class Data:
    """Batches behind `pool`; `dense` keeps the label's sign of some, and loses that of others."""

    def __init__(self, early: Path) -> None:
        read = artifact.read(early)
        manifest, initial = read.manifest, artifact.initial_values(read)
        self.kernel = np.asarray(initial["shared/dense/kernel"])
        self.bias = np.asarray(initial["shared/dense/bias"])
        self.made = (
            signature.makers(manifest.features, manifest.preprocessing)[0],
            signature.hyper_parameters(manifest),
        )
        self._rng = np.random.default_rng(0)
        self.samples: dict[bytes, tuple[int, np.ndarray]] = {}

    def batch(self, device: str, number: int, *, favours_early: bool) -> FeatureBatch:
        """So many new samples of a device."""
        labels = self._rng.integers(0, 3, number)
        rows = self._rng.normal(0, 0.1, (number, 36))
        back = np.linalg.pinv(self.kernel)
        # Behind `dense`, each unit at 1; and the label's at 4, or that of none.
        units = np.ones((number, 8))
        if favours_early:
            # Directions that `dense` maps to zero.
            *_, directions = np.linalg.svd(self.kernel.T)
            rows += units @ back + 4 * directions[-3:][labels]
        else:
            units[np.arange(number), labels] = 4
            rows += (units - self.bias) @ back
        rows = rows.reshape(number, *SHAPE).astype(np.float32)
        first = len(self.samples)
        keys = tuple((first + i).to_bytes(16, "big") for i in range(number))
        self.samples |= {k: (int(y), x) for k, y, x in zip(keys, labels, rows, strict=True)}
        return FeatureBatch(f"b-{first}", device, *self.made, keys, labels, rows, "")


def send(client: FeatureClient, batch: FeatureBatch) -> None:
    about = (batch.maker, batch.hyper), SHAPE, batch.samples, batch.labels.tolist()
    client.flush(header_of(batch.id, batch.device, *about), batch.rows)


def train(serving: FeatureServer) -> str:
    """Trains on what came; returns the layer that is published behind."""
    serving.trainer._policy = TrainingPolicy(every=1, epochs=6, threads=1)
    assert serving.trainer.train_if_due()
    assert not serving.trainer.train_if_due()
    serving.trainer._policy = NEVER
    return serving.publisher.served.layer


def labels_of(model: Path, folder: Path) -> dict[bytes, int]:
    with kept.opened(model, folder) as opened:
        annotated, rows = opened.cache.annotated()
        # Of this file's own layer, whatever else lies in the folder.
        assert rows.shape[1:] == opened.read.manifest.features[-1].feature.shape
        return {one.sample: one.label for one in annotated}


def test_a_device_follows_the_freeze_point_both_ways(
    split_files: SimpleNamespace, late: Path, tmp_path: Path
) -> None:
    data, told = Data(split_files.one), list[str]()
    hub, model, folder = tmp_path / "hub", tmp_path / "m.tflite", tmp_path / "kept"
    weights = tmp_path / "w.safetensors"
    shutil.copy(split_files.one, model)
    config = ServerConfig(split_files.one, hub, "127.0.0.1:0", policy=NEVER, others=(late,))
    serving = FeatureServer(config, told.append)
    # Without the thread that trains: the test says when.
    serving._server.start()
    with FeatureClient(serving.address) as client:
        with kept.opened(model, folder) as opened:
            kept.annotate(opened, split_files.data)
            flush(opened, client, "pi-1")
        first = labels_of(model, folder)
        send(client, data.batch("pi-2", 200, favours_early=False))
        # The later layer is as good, and of fewer bytes.
        assert train(serving) == "dense"
        assert serving.publisher.version.samples == 211
        assert told[0].startswith("freeze point moved from 'pool': 'dense'")
        got = pull(client, model, weights, folder)
        assert (got.version, got.has_new_model, got.carried, got.lost) == (2, True, 11, 0)
        assert model.read_bytes() == late.read_bytes()
        assert labels_of(model, folder) == first
        # Corrected behind the later layer.
        np.savez(tmp_path / "again.npz", x=split_files.x, y=(split_files.y + 1) % 3)
        with kept.opened(model, folder) as opened:
            kept.annotate(opened, tmp_path / "again.npz")
            assert flush(opened, client, "pi-1").samples == 11
        # A device that did not pull yet is not refused; what it sends favours the earlier layer.
        send(client, data.batch("pi-2", 300, favours_early=True))
        assert train(serving) == "pool"
        version = serving.publisher.version
        assert version.samples == 511
        assert "'pool'" in version.why
        # Trained on rows behind `pool` alone, each under the label that came last.
        wanted = serving.publisher.served.wanted
        held = serving._store.keyed(wanted.maker, wanted.hyper, SHAPE)
        for (device, key), sample in held.items():
            if device == "pi-1":
                assert sample.label == (first[key] + 1) % 3
            else:
                assert sample.label == data.samples[key][0]
                np.testing.assert_array_equal(sample.row, data.samples[key][1])
        got = pull(client, model, weights, folder)
        assert (got.version, got.has_new_model, got.carried, got.lost) == (3, True, 11, 0)
        assert model.read_bytes() == split_files.one.read_bytes()
        assert labels_of(model, folder) == {key: (y + 1) % 3 for key, y in first.items()}
        with kept.opened(model, folder) as opened:
            flush(opened, client, "pi-1")
    # It stays where it is, also over a start.
    assert train(serving) == "pool"
    serving.stop()
    serving = FeatureServer(config)
    assert serving.publisher.served.layer == "pool"
    assert serving.publisher.version.number == 4
    serving.stop()


def test_who_is_killed_while_following_follows_again(
    split_files: SimpleNamespace, late: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def replace(self: Path, target: Path) -> Path:
        if target == model:
            raise Killed
        return done(self, target)

    model, folder, done = tmp_path / "m.tflite", tmp_path / "kept", Path.replace
    shutil.copy(split_files.one, model)
    with kept.opened(model, folder) as opened:
        kept.annotate(opened, split_files.data)
    before = labels_of(model, folder)
    serving = FeatureServer(ServerConfig(late, tmp_path / "hub", "127.0.0.1:0", policy=NEVER))
    serving.start()
    with FeatureClient(serving.address) as client:
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(Path, "replace", replace)
            pull(client, model, tmp_path / "w.safetensors", folder)
        # The old file goes on with the old features.
        assert labels_of(model, folder) == before
        got = pull(client, model, tmp_path / "w.safetensors", folder)
    assert (got.carried, got.lost) == (11, 0)
    assert labels_of(model, folder) == before
    serving.stop()


@pytest.mark.parametrize("moment", ["decided", "inserted", "committed"])
def test_a_kill_between_decision_and_publication_loses_nothing(
    moment: str, split_files: SimpleNamespace, late: Path, tmp_path: Path
) -> None:
    hub, data = tmp_path / "hub", Data(split_files.one)
    command = [sys.executable, "-c", SERVER, moment, hub, split_files.one, late]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "serves\n"
        store = Store(hub)
        store.add(data.batch("pi-2", 200, favours_early=False))
        store.close()
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Either all of the move is there or nothing; then it is made at the next start.
    files = ServerConfig(split_files.one, hub, "127.0.0.1:0", policy=NEVER, others=(late,))
    serving = FeatureServer(files)
    store, version = serving._store, serving.publisher.version
    assert (version.number, version.samples) == (2, 200)
    assert serving.publisher.served.layer == "dense"
    assert store.weights(2) is not None
    assert store.version(3) is None
    rows, labels = store.samples(*data.made, SHAPE)
    assert {row.tobytes(): y for row, y in zip(rows, labels.tolist(), strict=True)} == {
        row.tobytes(): y for y, row in data.samples.values()
    }
    assert not serving.trainer.train_if_due()
    serving.stop()
