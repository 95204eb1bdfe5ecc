"""Dropout in an exported file: seeded on the device, resumed from a checkpoint, off in `infer`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine import noise
from tfplus_export.optimizers import Sgd
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

BATCH, RATE, STATE = 8, 0.25, noise.STATE


def source(*parts: keras.Layer, units: int = 4) -> Source:
    model = keras.Sequential(
        [keras.Input((units,)), *parts, layers.Dense(units, "linear", False, "identity", name="d")]
    )
    return Source("test:drop", model, tuple(range(units)), None, None, Preprocessing(), None)


@pytest.fixture
def exported(tmp_path: Path) -> tuple[api.Artifact, dict]:
    given = source(layers.Dropout(RATE, name="drop"))
    options = api.Options(BATCH, optimizer=Sgd(1.0), parity_steps=2)
    written = api.export(given, tmp_path / "m.tflite", options, lambda text: None)
    runner = Interpreter(str(written.path)).get_signature_runner
    return written, {name: runner(name) for name in ("train", "infer", "save", "restore")}


def dropped(run: dict) -> np.ndarray:
    """Which of 8 × 4 units one step drops: those whose weights get no gradient from a sample."""
    before = run["save"]()
    found = np.zeros((BATCH, 4), bool)
    for row in range(BATCH):
        run["restore"](**before)
        y = np.full(BATCH, -1, np.int32)
        y[row] = 0
        run["train"](x=np.ones((BATCH, 4), np.float32), y=y)
        change = run["save"]()["shared/d/kernel"] - before["shared/d/kernel"]
        found[row] = np.all(change == 0, axis=1)
    return found


def test_a_file_drops_what_its_state_says(exported: tuple[api.Artifact, dict]) -> None:
    written, run = exported
    assert written.manifest.flex_operators == ()
    variable = next(v for v in written.manifest.variables if v.name == STATE)
    assert (variable.shape, variable.role, variable.trainable) == ((4,), "optimizer", False)
    for state in ([0, 0, 0, 0], [12, 7, 3000, 5]):
        given = np.array(state, np.float32)
        run["restore"](**run["save"]() | {STATE: given})
        want = noise.uniform(given, 0, [BATCH, 4]).numpy() < RATE
        assert 0 < want.sum() < want.size
        np.testing.assert_array_equal(dropped(run), want)


def test_steps_and_seeds_differ_and_a_checkpoint_resumes(
    exported: tuple[api.Artifact, dict],
) -> None:
    _, run = exported
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(BATCH, 4)).astype(np.float32), np.zeros(BATCH, np.int32)
    start = run["save"]()

    def losses(state: dict[str, np.ndarray], steps: int) -> list[float]:
        run["restore"](**state)
        return [float(run["train"](x=x, y=y)["loss"][0]) for _ in range(steps)]

    kept = start | {"optimizer/learning_rate": np.zeros(1, np.float32)}
    first = losses(kept, 6)
    assert len(set(first)) == 6
    losses(kept, 3)
    assert losses(run["save"](), 3) == first[3:]
    assert losses(kept | {STATE: noise.initial(1)}, 6) != first


def test_infer_drops_nothing(exported: tuple[api.Artifact, dict]) -> None:
    _, run = exported
    x = np.random.default_rng(0).normal(size=(BATCH, 4)).astype(np.float32)
    before = run["save"]()[STATE]
    np.testing.assert_allclose(next(iter(run["infer"](x=x).values())), x, atol=1e-6)
    np.testing.assert_array_equal(run["save"]()[STATE], before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dropout(0.5, noise_shape=(None, 1, 1, 5)),
        lambda: layers.SpatialDropout2D(0.4),
        lambda: layers.AlphaDropout(0.2),
    ],
)
@pytest.mark.parametrize("normalized", [False, True])
def test_parity_holds(layer: Callable[[], keras.Layer], normalized: bool, tmp_path: Path) -> None:
    x = keras.Input((6, 6, 2))
    y = layer()(layers.Conv2D(5, 3)(x))
    if normalized:
        y = layers.BatchNormalization()(y)
    y = layers.Dense(3)(layers.Flatten()(layers.Dropout(0.3)(y)))
    model = keras.Model(x, y)
    given = Source("test:drop", model, (0, 1, 2), None, None, Preprocessing(), None)
    options = api.Options(BATCH, optimizer=Sgd(0.1), parity_steps=3)
    api.export(given, tmp_path / "m.tflite", options, lambda text: None)


def test_parity_sees_another_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = noise.uniform
    monkeypatch.setattr(noise, "uniform", lambda s, layer, shape: drawn(s, layer + 1, shape))
    with pytest.raises(ExportError, match="does not compute what TensorFlow does"):
        api.export(
            source(layers.Dropout(0.5)),
            tmp_path / "m.tflite",
            api.Options(BATCH, parity_steps=1),
            lambda text: None,
        )
    assert not list(tmp_path.iterdir())


def test_random_numbers_in_inference_are_refused(tmp_path: Path) -> None:
    class Always(layers.Layer):
        def __init__(self, **keywords: str) -> None:
            super().__init__(**keywords)
            self.numbers = keras.random.SeedGenerator(1)

        def call(self, x: object) -> object:
            return x + keras.random.uniform((2, 4), seed=self.numbers)

    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(3)(Always(name="always")(x)))
    given = Source("test:drop", model, (0, 1, 2), None, None, Preprocessing(), None)
    with pytest.raises(ExportError, match="layer 'always'"):
        api.export(given, tmp_path / "m.tflite", api.Options(2), lambda text: None)
