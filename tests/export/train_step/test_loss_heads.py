"""Exported files of every kind of loss, of several inputs and outputs, with sample weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import DataError, ExportError, UsageError
from tfplus.model_file import artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.losses.compiled import compiled
from tfplus_export.optimizers import Sgd
from tfplus_export.parity.samples import draw, real_data
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.sources.subclassed import with_inputs
from tfplus_export.tracing import model_io
from tfplus_export.tracing.graph import trace
from tfplus_export.train_step import training

BATCH, RATE = 4, 0.1
losses = keras.losses


def mlp(outputs: int, last: str | None = None, shape: tuple[int, ...] = (6,)) -> keras.Model:
    parts = [layers.Dense(5, activation="tanh"), layers.Dense(outputs, activation=last)]
    return keras.Sequential([keras.Input(shape), *parts])


def several() -> keras.Model:
    """Two inputs through one shared layer and a table, two outputs."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(5, activation="tanh", name="shared")
    x = layers.Concatenate()([shared(left), shared(right)])
    heads = {"kind": layers.Dense(3)(x), "size": layers.Dense(2)(x)}
    return keras.Model({"left": left, "right": right}, heads)


class OfItsOwn(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(5, activation="tanh", name="first")
        self.second = layers.Dense(3, name="second")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.second(self.first(x))


def with_loss(model: keras.Model, loss: Any, **options: Any) -> keras.Model:
    model.compile("sgd", loss, **options)
    return model


def exported(model: keras.Model, path: Path, **options: Any) -> tuple[Interpreter, Any]:
    read = compiled(model, list(model_io.outputs(model)))
    source = Source("test", model, None, None, read, Preprocessing(), None)
    given = api.Options(BATCH, optimizer=Sgd(RATE), parity_steps=2, **options)
    written = api.export(source, path / "m.tflite", given, lambda text: None)
    assert artifact.read(written.path).manifest == written.manifest
    return Interpreter(str(written.path)), written.manifest


def fitted(model: keras.Model, batch: dict[str, np.ndarray]) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and weights after one step of Keras' own loop, with the loss the model has."""
    model.compile(keras.optimizers.SGD(RATE), model.loss, loss_weights=weights_of(model))
    inputs = {n: v for n, v in batch.items() if n in model_io.inputs(model)}
    targets = {n.removeprefix("y_"): v for n, v in batch.items() if n.startswith("y")}
    alone = len(targets) == 1
    loss = model.train_on_batch(
        inputs.get("x", inputs),
        targets["y"] if alone else targets,
        batch.get("sample_weight"),
    )
    return float(np.ravel(loss)[0]), {v.path: np.asarray(v) for v in model.variables}


def weights_of(model: keras.Model) -> Any:
    return model.get_compile_config().get("loss_weights")


def assert_trains_as_fit(model: keras.Model, path: Path, rows: int, **options: Any) -> Any:
    """One step on a short batch: padding in the file, fewer samples in Keras."""
    interpreter, manifest = exported(model, path, **options)
    rng = np.random.default_rng(1)
    taken = manifest.signatures["train"].inputs
    batch: dict[str, np.ndarray] = {
        n: rng.normal(size=i.shape).astype(i.dtype) for n, i in taken.items()
    }
    for output in manifest.outputs:
        if output.targets == "label":
            batch[output.target] = rng.integers(0, 3, taken[output.target].shape, np.int32)
        elif output.targets != "value":
            chosen = rng.integers(
                0, taken[output.target].shape[-1], taken[output.target].shape[:-1]
            )
            batch[output.target] = np.eye(taken[output.target].shape[-1], dtype=np.float32)[chosen]
    short = {n: v[:rows] for n, v in batch.items()}
    for output in manifest.outputs:
        batch[output.target][rows:] = output.padding
    got = interpreter.get_signature_runner("train")(**batch)
    saved = interpreter.get_signature_runner("save")()
    loss, want = fitted(model, short)
    np.testing.assert_allclose(got["loss"], [loss], rtol=1e-4)
    prefix = f"{model.name}/"
    for path_of, value in want.items():
        name = f"shared/{path_of.removeprefix(prefix)}"
        np.testing.assert_allclose(saved[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    return manifest


SOFTMAX = losses.CategoricalCrossentropy(label_smoothing=0.1)
CASES: dict[str, Callable[[], keras.Model]] = {
    "mse": lambda: with_loss(mlp(2), "mse"),
    "summed": lambda: with_loss(mlp(2), losses.Huber(0.5, reduction="sum")),
    "yes or no": lambda: with_loss(mlp(1, "sigmoid"), "binary_crossentropy"),
    "smooth": lambda: with_loss(mlp(3, "softmax"), SOFTMAX),
    "focal": lambda: with_loss(mlp(3, "softmax"), losses.CategoricalFocalCrossentropy()),
    "steps": lambda: with_loss(
        mlp(3, shape=(2, 6)), losses.SparseCategoricalCrossentropy(from_logits=True)
    ),
    "several": lambda: with_loss(
        several(),
        {"kind": losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mae"},
        loss_weights={"kind": 0.25, "size": 2.0},
    ),
}
FAST = ("several",)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_a_short_batch_trains_as_in_fit(name: str, tmp_path: Path) -> None:
    manifest = assert_trains_as_fit(CASES[name](), tmp_path, rows=3)
    if name == "several":
        assert list(manifest.signatures["train"].inputs) == ["left", "right", "y_kind", "y_size"]
        reported = {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
        assert set(manifest.signatures["train"].outputs) == reported
        assert [(o.kind, o.loss_weight) for o in manifest.outputs] == [
            ("logits", 0.25),
            ("values", 2),
        ]
        assert manifest.classes == ()


def test_sample_weights_are_those_of_fit(tmp_path: Path) -> None:
    model = with_loss(mlp(2), "mse")
    manifest = assert_trains_as_fit(model, tmp_path, rows=3, sample_weights=True)
    assert list(manifest.signatures["train"].inputs) == ["x", "y", "sample_weight"]


@pytest.mark.slow
def test_a_model_that_is_a_class_of_its_own(tmp_path: Path) -> None:
    built = OfItsOwn()
    built(np.ones((2, 4), np.float32))
    model = with_loss(with_inputs(built, None), "mse")
    assert_trains_as_fit(model, tmp_path, rows=3)
    given = with_inputs(OfItsOwn(), (7,))
    assert model_io.inputs(given) == {"x": model_io.ModelTensor((7,), "float32")}
    with pytest.raises(ExportError, match="not built: call it once"):
        with_inputs(OfItsOwn(), None)
    with pytest.raises(UsageError, match="an Input of its own"):
        with_inputs(given, (7,))


def test_a_vocabulary_is_that_of_the_smallest_table(tmp_path: Path) -> None:
    words, number = keras.Input((3,), dtype="int32"), keras.Input((3,), dtype="int32")
    parts = [layers.Embedding(n, 2)(words) for n in (9, 7)]
    parts.append(layers.Reshape((3, 1))(keras.ops.cast(number, "float32")))
    model = keras.Model([words, number], layers.Dense(2)(layers.Concatenate()(parts)))
    graph = trace(model, 2, training=True)
    assert draw.vocabularies(graph) == {words.name: 7}
    batch = draw.random_inputs(graph, np.random.default_rng(0))
    assert batch[words.name].max() < 7


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "masked": (
        lambda: masked(),
        "carries a mask",
    ),
    "clash": (
        lambda: with_loss(named("y"), "mse"),
        "an input named 'y' has the name of another argument",
    ),
    "twice": (
        lambda: with_loss(mlp(3, "sigmoid"), losses.BinaryCrossentropy(from_logits=True)),
        "ends in a sigmoid",
    ),
    "axis": (
        lambda: with_loss(mlp(3), losses.CategoricalCrossentropy(axis=1)),
        "axis=1",
    ),
    "unknown": (
        lambda: with_loss(mlp(3), lambda y, z: keras.ops.mean(y - z)),
        "loss <lambda> has no rule",
    ),
}


def masked() -> keras.Model:
    x = keras.Input((5, 4))
    y = layers.Dense(2)(layers.SimpleRNN(3, return_sequences=True)(layers.Masking()(x)))
    return with_loss(keras.Model(x, y), "mse")


def named(name: str) -> keras.Model:
    a, b = keras.Input((3,), name=name), keras.Input((3,), name="other")
    return keras.Model([a, b], layers.Dense(2)(layers.Add()([a, b])))


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_train_otherwise_is_refused(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ExportError, match=message):
        exported(make(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("loss", "weights", "message"),
    [
        ({"kind": "mse", "other": "mse"}, None, "for 'other': expected names of outputs"),
        (["mse"], None, "1 loss, but the model has 2 outputs"),
        ("mse", 0.5, "loss_weights=0.5: expected one for each output"),
        ({"kind": "mse"}, None, "output 'size' has no loss"),
        # As in `compile(optimizer, loss, ["accuracy", "mae"])`.
        (
            "mse",
            ["accuracy", "mae"],
            "got 'accuracy'; the third argument of compile is loss_weights",
        ),
        ("mse", [float("nan"), 1.0], "expected a finite loss weight, got nan"),
    ],
)
def test_losses_that_do_not_fit_the_outputs(loss: Any, weights: Any, message: str) -> None:
    model = several()
    model.compile("sgd", loss, loss_weights=weights)
    with pytest.raises(ExportError, match=message):
        compiled(model, list(model_io.outputs(model)))


def test_the_comparison_runs_on_data_of_ones_own_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "own.npz"
    x, y = rng.normal(size=(9, 6)), np.array([7, 5, 5, 7, 7, 5, 9, 7, 5])
    np.savez(path, x=x, y=y)
    model = with_loss(mlp(2, "softmax"), "sparse_categorical_crossentropy")
    read = compiled(model, list(model_io.outputs(model)))
    source = Source("test", model, (5, 7), None, read, Preprocessing(), None)
    written = api.export(
        source, tmp_path / "m.tflite", api.Options(BATCH, data=path), lambda text: None
    )
    parity = written.manifest.parity
    assert [(r["data"], r["xnnpack"]) for r in parity["runs"]] == [
        ("random", True), ("random", False), ("real", True), ("real", False)
    ]  # fmt: skip
    # The sample of class 9 is left out.
    assert parity["data"]["real"] == "own.npz, drawn from 8 samples, seed 0"
    step = training.build(model, Sgd(), losses=read, batch_size=BATCH, infer_batch_size=1)
    for arrays, message in (
        ({"x": x}, "expected the arrays x and y, found only: x"),
        ({"x": x[:, :5], "y": y}, r"x: expected float32\[samples, 6\], got float64\[9, 5\]"),
        ({"x": x, "y": y[:5]}, r"shapes of x \[9, 6\] and y \[5\]"),
        ({"x": x, "y": y * 0.5}, "got float64"),
        ({"x": x * np.inf, "y": y}, "x: holds NaN or infinity"),
        ({"x": x, "y": y * 0}, r"no sample is of the model's classes \[5, 7\]"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            real_data.load(path, step, (5, 7), Preprocessing())
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"expected an \.npz with the arrays x and y"):
        real_data.load(path, step, (5, 7), Preprocessing())
