"""Batch normalization in an exported file: moving averages, padding rows, and the check of both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine import replay
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.train_step import training

BATCH, CLASSES, RATE = 16, 3, 0.1
AVERAGES = ("shared/norm/moving_mean", "shared/norm/moving_variance")


def source() -> Source:
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(momentum=0.8, name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(CLASSES, name="logits"),
        ]
    )
    return Source("test:norm", model, tuple(range(CLASSES)), None, None, Preprocessing(), None)


def export(given: Source, folder: Path) -> tuple[api.Artifact, Interpreter]:
    path = folder / "model.tflite"
    options = api.Options(BATCH, optimizer=Sgd(RATE))
    written = api.export(given, path, options, lambda text: None)
    return written, Interpreter(model_path=str(path))


def fitted(given: Source, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Every weight after one step of Keras' own training loop."""
    model = given.model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    model.train_on_batch(x, y)
    return {
        f"shared/{v.path.removeprefix(model.name + '/')}": np.asarray(v) for v in model.variables
    }


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(1.0, 2.0, (rows, 6, 5, 2)).astype(np.float32)
    return x, rng.integers(0, CLASSES, rows, np.int32)


def test_a_step_moves_the_averages_as_keras_does(tmp_path: Path) -> None:
    given = source()
    written, interpreter = export(given, tmp_path)
    by_name = {v.name: v for v in written.manifest.variables}
    for name in AVERAGES:
        assert (by_name[name].role, by_name[name].trainable) == ("weight", False)
    x, y = data(BATCH)
    interpreter.get_signature_runner("train")(x=x, y=y)
    got = interpreter.get_signature_runner("save")()
    want = fitted(given, x, y)
    for name in want:
        if name != "shared/conv/bias":
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6, err_msg=name)
    (infer,) = interpreter.get_signature_runner("infer")(x=x).values()
    np.testing.assert_allclose(infer, given.model(x, training=False), rtol=1e-4, atol=1e-5)


def test_a_short_batch_trains_as_in_keras_if_its_padding_repeats_it(tmp_path: Path) -> None:
    given = source()
    _, interpreter = export(given, tmp_path)
    rows = BATCH // 2
    x, y = data(rows)
    train, save, restore = map(interpreter.get_signature_runner, ("train", "save", "restore"))
    before = save()
    padded_y = np.concatenate([y, np.full(rows, -1, np.int32)])
    train(x=np.concatenate([x, x]), y=padded_y)
    repeated = save()
    restore(**before)
    train(x=np.concatenate([x, 0 * x]), y=padded_y)
    zeros = save()
    want = fitted(given, x, y)
    for name in AVERAGES:
        np.testing.assert_allclose(repeated[name], want[name], rtol=1e-5, atol=1e-6)
        assert np.max(np.abs(zeros[name] - want[name])) > 0.01
    kernel = "shared/conv/kernel"
    np.testing.assert_allclose(repeated[kernel], want[kernel], rtol=1e-5, atol=1e-6)


def test_parity_sees_averages_that_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(*arguments: object) -> replay.Tape:
        return dataclasses.replace(replay.replay(*arguments), updates={})

    monkeypatch.setattr(training, "replay", forgetful)
    with pytest.raises(ExportError, match="worst at 'shared/norm/moving_"):
        export(source(), tmp_path)
    assert not list(tmp_path.iterdir())
