"""A server of several files: each freeze point is measured, one is served, with the reason."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus.feature_server.freeze_policy import Choice, Point
from tfplus.feature_server.serving import FeatureServer, ServerConfig
from tfplus.feature_server.state.records import FeatureBatch
from tfplus.feature_server.state.store import Store
from tfplus.feature_server.trainer import TrainingPolicy
from tfplus.features import signature
from tfplus.model_file import artifact

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SAMPLES = 150
POLICY = TrainingPolicy(every=SAMPLES, epochs=2, threads=1)


def collected(folder: Path, model: Path, number: int) -> FeatureBatch:
    """Keeps samples behind `pool` in a state: the label is which third of the channels is lit."""
    manifest = artifact.read(model).manifest
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, number)
    rows = rng.random((number, 3, 3, 4), np.float32) / 4
    rows[np.arange(number), :, :, labels] += 2
    keys = tuple(i.to_bytes(16, "little") for i in range(number))
    made = (
        signature.makers(manifest.features, manifest.preprocessing)[0],
        signature.hyper_parameters(manifest),
    )
    batch = FeatureBatch("b", "pi", *made, keys, labels, rows, "")
    store = Store(folder)
    store.add(batch)
    store.close()
    return batch


def test_the_freeze_point_moves_and_nothing_is_lost(
    split_files: SimpleNamespace, tmp_path: Path
) -> None:
    hub, asked = tmp_path / "hub", list[Sequence[Point]]()
    batch = collected(hub, split_files.one, SAMPLES)

    def later(points: Sequence[Point], current: int) -> Choice:
        asked.append(points)
        assert current == len(asked) - 1
        return Choice(1, "as the test says")

    # In any order.
    config = ServerConfig(
        split_files.two, hub, "127.0.0.1:0", policy=POLICY, others=(split_files.one,), choose=later
    )
    serving = FeatureServer(config)
    ((pool, flat),) = asked
    assert (pool.layer, flat.layer) == ("pool", "flat")
    assert pool.held_out == flat.held_out
    assert 20 <= pool.held_out <= SAMPLES / 2
    assert pool.feature_bytes == flat.feature_bytes == 36 * 4
    # Behind a layer without weights the head is the same, and so is what it learns.
    assert (pool.accuracy, flat.accuracy) == pytest.approx((pool.accuracy,) * 2)
    assert pool.loss == pytest.approx(flat.loss, rel=1e-4)
    assert pool.accuracy > 0.5
    assert min(pool.train_s, flat.train_s) > 0
    publisher, store = serving.publisher, serving._store
    served = publisher.served
    assert served.read.path == split_files.two
    assert publisher.version.why == serving.why == "as the test says"
    # Features behind the later layer are computed from those behind the earlier one.
    rows, labels = store.samples(served.wanted.maker, served.wanted.hyper, (36,))
    np.testing.assert_array_equal(rows, batch.rows.reshape(SAMPLES, 36))
    np.testing.assert_array_equal(labels, batch.labels)
    # The move is a version that was trained on them; nothing is left to train on.
    assert publisher.version.samples == SAMPLES
    assert not serving.trainer.train_if_due()
    serving.stop()
    # By the policy that is not replaced: of equal ones the current stays; numbers are the reason.
    serving = FeatureServer(
        dataclasses.replace(config, choose=ServerConfig(split_files.one, hub).choose)
    )
    assert f"'flat': {flat.accuracy:.3f} of {pool.held_out} held-out" in serving.why
    assert serving.publisher.version.number == 2
    assert math.isfinite(pool.loss)
    serving.stop()


def test_too_few_samples_leave_it_as_it_is(split_files: SimpleNamespace, tmp_path: Path) -> None:
    collected(tmp_path, split_files.one, 30)
    files = split_files.one, split_files.two
    for first, others, published in ((files[1], (), 1), (files[0], files[1:], 1)):
        config = ServerConfig(first, tmp_path, "127.0.0.1:0", policy=POLICY, others=others)
        serving = FeatureServer(config)
        assert serving.publisher.served.read.path == files[published]
        assert serving.publisher.version.number == 1
        serving.stop()
    assert "'flat': not measured" in serving.why


def test_files_that_are_not_one_network_are_refused(
    split_files: SimpleNamespace, tmp_path: Path
) -> None:
    for others in ((split_files.other,), (split_files.other, split_files.two)):
        config = ServerConfig(split_files.one, tmp_path, "127.0.0.1:0", others=others)
        with pytest.raises(UsageError, match="each cut once more"):
            FeatureServer(config)
    code, _, err = split_files.run(
        "server",
        split_files.one,
        split_files.other,
        "--state-dir",
        tmp_path,
        "--listen",
        "127.0.0.1:0",
    )
    assert code == 2
    assert "each cut once more" in " ".join(err.split())
    config = ServerConfig(split_files.one, tmp_path, "127.0.0.1:0", others=(split_files.frozen,))
    with pytest.raises(UsageError, match="takes samples"):
        FeatureServer(config)
