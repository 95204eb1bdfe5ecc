"""The benchmarks of tiles: that the paper's network is the paper's, and that processes train it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras  # noqa: TID251
import numpy as np
import pytest
from tiles import darknet, predicted

from tfplus.tiles.planning.job import Job
from tfplus_export.tiles import chain as chains

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "tiles"


def test_the_layers_are_those_of_yolov2() -> None:
    chain = chains.read(darknet.model(160, "batch"), "yolov2").chain
    convolutions = [layer for layer in chain.layers if layer.kind == "convolution"]
    assert sum(layer.kind in ("convolution", "maximum") for layer in chain.layers) == 16
    # Sides, kernels and channels of Redmon and Farhadi's table 6, of an image of 160.
    table = [
        (160, 3, 3, 32), (80, 3, 32, 64), (40, 3, 64, 128), (40, 1, 128, 64), (40, 3, 64, 128),
        (20, 3, 128, 256), (20, 1, 256, 128), (20, 3, 128, 256), (10, 3, 256, 512),
        (10, 1, 512, 256), (10, 3, 256, 512), (10, 1, 512, 256),
    ]  # fmt: skip
    macs = [x.macs_per_pixel * x.rows.outputs * x.columns.outputs for x in convolutions]
    assert macs == [side**2 * k**2 * a * b for side, k, a, b in table]
    trained = sum(k**2 * a * b + 2 * b for _, k, a, b in table)
    assert chain.parameters == trained
    assert chain.maps()[-1] == (10, 10, 256)


@pytest.mark.parametrize("normalization", darknet.NORMALIZATIONS)
def test_plans_of_it_take_less_of_each_device(normalization: darknet.Normalization) -> None:
    chain = chains.read(darknet.model(96, normalization), "yolov2").chain
    least = [predicted.smallest(chain, n, Job(16)).cost.memory_bytes for n in (1, 2, 6)]
    assert least == sorted(least, reverse=True)
    assert least[-1] < predicted.alone(chain, Job(16))
    starts = predicted.smallest(chain, 2, Job(16)).tiling.groups
    normalized = sum(layer.kind == "normalization" for layer in chain.layers)
    assert normalized == (12 if normalization == "batch" else 0)
    assert len(starts) > normalized


@pytest.mark.slow
def test_processes_train_it_as_keras_does() -> None:
    script = str(SCRIPTS / "yolov2.py")
    done = subprocess.run(
        [sys.executable, script, "--side", "32", "--batch-size", "8", "--devices", "2",
         "--normalization", "frozen", "--measure", "2", "--json"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)["frozen"]["measured"]
    (two,) = measured["devices"]
    assert two["sent_bytes_measured"] == two["sent_bytes"]
    assert 0 < max(two["beyond_idle_bytes"]) < max(two["resident_bytes"])
    assert measured["untiled_resident_bytes"] > 0
    # The same samples in the same order, from the same weights.
    keras.utils.set_random_seed(0)
    model, batch = darknet.model(32, "frozen"), 8
    rng = np.random.default_rng(0)
    x = rng.random((2 * batch, 32, 32, 3), np.float32)
    y = rng.integers(0, 20, 2 * batch)
    order = np.random.default_rng([0, 1]).permutation(2 * batch)
    model.compile(
        keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    wanted = [model.train_on_batch(x[i], y[i]) for i in (order[:batch], order[batch:])]
    # Keras tells the mean over batches so far.
    assert two["losses"][0] == pytest.approx(float(wanted[0]), rel=1e-5)
    # A step of sixteen layers from random weights takes the rounding of its gradients along.
    assert sum(two["losses"]) / 2 == pytest.approx(float(wanted[1]), rel=1e-3)


@pytest.mark.exhaustive
def test_predictions_are_held_against_processes() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "prediction.py"), "--devices", "1", "2", "--steps", "2",
         "--batch-size", "4", "--json"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    # How near they come is not for a test.
    assert done.returncode in (0, 1), done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert {row["devices"] for row in rows} == {1, 2}
    assert any(not row["fitted"] for row in rows)
    for row in rows:
        assert row["ratio"] == pytest.approx(row["measured_s"] / row["predicted_s"])
        told = sum(a for a, _ in row["parts"].values())
        assert told == pytest.approx(row["predicted_s"])
        assert row["within"] == (0.8 <= row["ratio"] <= 1.2)
