"""A small network with batch statistics, cut at one layer, at two, and frozen without a cut."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from tfplus.cli.main import app


def tfplus(*arguments: object) -> tuple[int, str, str]:
    """Runs `tfplus`: arguments → exit code, stdout, stderr."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="session")
def split_files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Files `one` (cut behind `pool`), `two` (and behind `flat`), `frozen`, `data`, `other`."""
    folder = tmp_path_factory.mktemp("split")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Rescaling(1 / 16, name="scale"),
            layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(8, activation="relu", name="dense"),
            layers.Dense(3, name="logits"),
        ],
        name="net",
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 17, (11, 6, 6, 1)).astype(np.uint8)
    y = rng.integers(0, 3, 11).astype(np.int32)
    model.fit(x.astype(np.float32), y, verbose=0)
    model.save(folder / "net.keras")
    # Another backbone: a pixel of a filter moved.
    model.save(folder / "other.keras")
    moved = [v.copy() for v in map(np.asarray, model.get_layer("conv").get_weights())]
    moved[0][0, 0, 0, 0] += 0.5
    model.get_layer("conv").set_weights(moved)
    model.save(folder / "other.keras")
    data = folder / "own.npz"
    np.savez(data, x=x, y=y)
    common = ("--batch-size", 4, "--parity-steps", 1)
    for name, source, more in (
        ("one", "net", ("--split", "pool")),
        ("two", "net", ("--split", "pool", "--split", "flat")),
        ("other", "other", ("--split", "pool")),
        ("frozen", "net", ("--freeze", "conv", "--freeze", "norm")),
    ):
        code, _, err = tfplus(
            "export", folder / f"{source}.keras", "-o", folder / f"{name}.tflite", *common, *more
        )
        assert code == 0, err
    files = {n: folder / f"{n}.tflite" for n in ("one", "two", "other", "frozen")}
    return SimpleNamespace(**files, data=data, run=tfplus, x=x, y=y)
