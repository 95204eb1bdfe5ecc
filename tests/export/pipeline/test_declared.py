"""What an export keeps of the values that a model was made for, and what it finds at odds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from tfplus.data.guessing import guess_loss
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError
from tfplus.model_file import artifact
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.losses import compiled
from tfplus_export.optimizers import Sgd
from tfplus_export.parity.samples import real_data
from tfplus_export.pipeline.manifest import declared, manifest_fields
from tfplus_export.tracing import model_io
from tfplus_export.tracing.graph import trace
from tfplus_export.train_step import training

# Keras, as it saves a model.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")
Run = Callable[..., tuple[int, str, str]]
SHAPE = (8, 8, 1)


def digits(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits as bytes of 0 to 255, and their labels."""
    read: Any = load_digits()
    x = np.round(read.images[:count, :, :, None] * (255 / 16)).astype(np.uint8)
    return x, read.target[:count]


def classifier(*first: keras.Layer) -> keras.Model:
    last = [layers.Flatten(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input(SHAPE, name="x"), *first, *last])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def step_of(model: keras.Model) -> training.Training:
    losses = compiled.compiled(model, list(model_io.outputs(model)))
    assert losses is not None
    return training.build(model, Sgd(), losses=losses, batch_size=8, infer_batch_size=8)


def test_bytes_that_nothing_is_said_of_are_told_and_declared_ones_are_not(
    run: Run, tmp_path: Path
) -> None:
    x, y = digits()
    np.savez(tmp_path / "digits.npz", x=x, y=y)
    classifier().save(tmp_path / "m.keras")
    command = ("m.keras", "-o", "m.tflite", "--parity-steps", "1", "--data", "digits.npz")
    code, out, err = run(*command)
    assert code == 0, err
    told = " ".join(out.split())
    assert "warning: the first loss is" in told
    assert "that of guessing 2.3" in told
    code, out, err = run(*command, "--scale", "1/255", "--json")
    assert code == 0, err
    assert json.loads(out)["models"][0]["parity"]["warnings"] == []
    found = artifact.read(tmp_path / "m.tflite").manifest.preprocessing
    assert (found.scale, found.offset, found.floats) == (1 / 255, 0.0, False)
    sample, scale = found.expects
    assert (sample.input, sample.source, sample.dtype) == ("x", "sample", "uint8")
    assert (sample.low, sample.high) == (0.0, pytest.approx(1.0))
    assert sample.mean == pytest.approx((x / 255).mean())
    assert sample.std == pytest.approx((x / 255).std())
    assert (scale.source, scale.low, scale.high) == ("scale", 0.0, 1.0)


@pytest.mark.parametrize(
    ("first", "low", "high"),
    [
        ([layers.Rescaling(1 / 255)], 0, 255),
        ([layers.Rescaling(1 / 127.5, -1)], 0, 255),
        ([layers.Rescaling(1 / 16)], 0, 16),
        ([layers.Rescaling(1 / 255), layers.Normalization(mean=0.4, variance=0.04)], 0, 255),
        ([layers.Normalization(mean=100.0, variance=400.0)], 40, 160),
        ([layers.Rescaling(0.01)], None, None),
        ([layers.Conv2D(2, 3)], None, None),
        ([], None, None),
    ],
)
def test_first_layers_say_what_they_are_made_for(
    first: list[keras.Layer], low: float | None, high: float | None
) -> None:
    graph = trace(classifier(*first), 2, training=True)
    found = declared.ranges(graph, Preprocessing(), None)
    if low is None:
        assert found == ()
        return
    (expected,) = found
    assert (expected.input, expected.source) == ("x", "layers")
    assert (expected.low, expected.high) == (pytest.approx(low), pytest.approx(high))


def test_a_normalization_by_channel_covers_all_channels() -> None:
    mean, variance = [120.0, 110.0, 100.0], [3600.0, 3500.0, 3400.0]
    x = keras.Input((4, 4, 3), name="x")
    y = layers.Normalization(mean=mean, variance=variance)(x)
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    (found,) = declared.ranges(trace(model, 2, training=True), Preprocessing(), None)
    assert found.mean == pytest.approx(110)
    assert found.low == pytest.approx(100 - 3 * 3400**0.5)
    assert found.high == pytest.approx(120 + 3 * 3600**0.5)


def test_a_model_that_scales_by_itself_needs_no_scale() -> None:
    graph = trace(classifier(layers.Rescaling(1 / 255)), 2, training=True)

    def told(scaling: Scaling) -> tuple[str, ...]:
        given = scaling.declared_in(Preprocessing(), floats=False)
        expects = declared.ranges(graph, given, None)
        return declared.objections(
            Preprocessing(given.scale, given.offset, given.floats, expects), None
        )

    (text,) = told(Scaling(1 / 255))
    assert "from 0 to 1, expected 0 to 255, as its first layers are made for" in text
    assert text.endswith("--scale 1 would bring the data there")
    assert told(Scaling(255.0)) == ()


def test_samples_stay_as_they_are_stored_and_become_floats_by_the_batch(tmp_path: Path) -> None:
    x, y = digits(40)
    step = step_of(classifier())
    for name, stored, floats in (("b", x, False), ("f", x.astype(np.float64), True)):
        np.savez(tmp_path / f"{name}.npz", x=stored, y=y)
        scaling = Scaling(1 / 127.5, -1.0)
        read = real_data.load(tmp_path / f"{name}.npz", step, (), Preprocessing(), scaling)
        assert read.arrays["x"].dtype == stored.dtype
        # Floats are scaled where all samples are floats: a sample says how data are stored.
        assert read.preprocessing == Preprocessing(1 / 127.5, -1.0, floats)
        batch = read.batch(step, np.random.default_rng(0))
        assert batch["x"].dtype == np.float32
        assert (batch["x"].min(), batch["x"].max()) == (-1.0, pytest.approx(1.0))
        assert read.spread("x").raw.high == 255
    directory = tmp_path / "folder"
    directory.mkdir()
    np.save(directory / "x.npy", x)
    np.save(directory / "y.npy", y)
    assert len(real_data.load(directory, step, (), Preprocessing())) == 40


def test_what_a_header_announces_is_compared_before_it_is_allocated(tmp_path: Path) -> None:
    x, y = digits(10)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)
    huge = (tmp_path / "x.npy").read_bytes().replace(b"(10, 8, 8, 1), }", b"(1000000000000,)}")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", huge)
    step = step_of(classifier())
    with pytest.raises(DataError, match=r"announces uint8.*the file was truncated"):
        real_data.load(tmp_path / "d.npz", step, (), Preprocessing())


def test_regularizers_add_to_the_first_loss_what_keras_says() -> None:
    regularizer = keras.regularizers.L1L2(0.1, 0.3)
    model = classifier(layers.Conv2D(3, 3, kernel_regularizer=regularizer))
    values = {w.name: np.asarray(model.variables[w.index]) for w in step_of(model).weights}
    want = float(sum(model.losses))
    assert want > 0.1
    assert declared.regularization(step_of(model), values) == pytest.approx(want, rel=1e-5)
    active = classifier(layers.Conv2D(3, 3, activity_regularizer="l2"))
    assert declared.regularization(step_of(active), {}) is None


@pytest.mark.parametrize(
    ("loss", "targets", "guess"),
    [
        ("sparse_categorical_crossentropy", np.arange(24) % 5, 0.2),
        ("categorical_crossentropy", np.eye(5)[np.arange(24) % 5], 0.2),
        ("binary_crossentropy", np.eye(5)[np.arange(24) % 5], 0.5),
        ("mean_squared_error", np.random.default_rng(0).normal(3, 4, (24, 5)), 0.0),
        ("mean_absolute_error", np.random.default_rng(0).normal(3, 4, (24, 5)), 0.0),
        ("huber", np.random.default_rng(0).normal(0, 2, (24, 5)), 0.0),
    ],
)
def test_the_loss_of_guessing_is_that_of_keras(loss: str, targets: Any, guess: float) -> None:
    activation = {0.2: "softmax", 0.5: "sigmoid", 0.0: None}[guess]
    x = keras.Input((3,), name="x")
    model = keras.Model(x, layers.Dense(5, activation=activation, name="out")(x))
    model.compile("sgd", loss)
    step = step_of(model)
    (output,) = manifest_fields.outputs(step)
    found = guess_loss([output], {"out": 5}, {output.target: np.asarray(targets)}, 8)
    predicted = np.full((24, 5), guess, np.float32)
    want = float(np.mean(keras.losses.get(loss)(np.asarray(targets, np.float32), predicted)))
    assert found == pytest.approx(want, rel=1e-5)


def test_the_zoo_says_what_its_scales_are_made_for() -> None:
    from tfplus_export import zoo

    for name in ("lenet", "digits"):
        entry = zoo.entry(name)
        model = entry.build(entry.input_shape, tuple(range(10)))
        (found,) = declared.ranges(trace(model, 1, training=True), entry.preprocessing, None)
        assert (found.source, found.low, found.high) == ("scale", 0.0, 1.0)
