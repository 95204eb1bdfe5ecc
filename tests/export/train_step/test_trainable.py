"""What `--freeze` and `--train` freeze, and what becomes of it in the file."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import UsageError
from tfplus.model_file import artifact
from tfplus_export.train_step import trainable

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def nested() -> keras.Model:
    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Conv2D(4, 3, name="block1_conv"), layers.ReLU()],
        name="body",
    )
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="stem"),
            inner,
            layers.BatchNormalization(name="block1_bn"),
            layers.Flatten(),
            layers.Dense(5, name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )


STEM, BODY, NORM = {"stem"}, {"block1_conv"}, {"block1_bn"}


@pytest.mark.parametrize(
    ("frozen", "trained", "left"),
    [
        (["2"], [], {"block1_bn", "hidden", "head"}),
        (["block1_*"], [], {"stem", "hidden", "head"}),
        (["body", "head"], [], {"stem", "block1_bn", "hidden"}),
        ([], ["last:2"], {"hidden", "head"}),
        (["hidden"], ["last:2"], {"head"}),
    ],
)
def test_options_leave_these_layers_to_train(
    frozen: list[str], trained: list[str], left: set[str]
) -> None:
    model = nested()
    before = [v.trainable for v in model.variables]
    with trainable.select(model, frozen, trained).applied(model):
        assert {v.path.split("/")[-2] for v in model.trainable_variables} == left
    assert [v.trainable for v in model.variables] == before


def test_biases_alone_train_and_normalizations_keep_their_statistics() -> None:
    model = nested()
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    with trainable.select(model, [], ["bias"]).applied(model):
        names = [v.path.split("/")[-1] for v in model.trainable_variables]
        assert names == ["bias", "bias", "beta", "bias", "bias"]
        np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    assert np.any(np.asarray(model(x, training=True)) != np.asarray(model(x, training=False)))


@pytest.mark.parametrize(
    ("frozen", "trained", "said"),
    [
        (["nothing"], [], "names no layer with weights: expected one of stem, block1_conv,"),
        (["6"], [], "--freeze 6: expected 1 to 5 layers"),
        (["0"], [], "expected 1 to 5 layers"),
        ([], ["last:9"], "--train last:9: expected 1 to 5 layers"),
        ([], ["head"], "expected bias, or last:K"),
        (["5"], [], "freezes everything that trains"),
        (["head"], ["last:1"], "--freeze head --train last:1: freezes everything"),
    ],
)
def test_options_that_make_no_sense(frozen: list[str], trained: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        trainable.select(nested(), frozen, trained)


def test_frozen_weights_are_constants_of_the_file(run, tmp_path: Path) -> None:
    model = nested()
    model.save(tmp_path / "m.keras")
    code, out, err = run(
        "m.keras", "-o", "m.tflite", "--freeze", "stem", "--freeze", "block1_*", "--batch-size",
        "4", "--learning-rate", "0.1", "--momentum", "0.9", "--json",
    )  # fmt: skip
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    left = {f"shared/{layer}/{tensor}" for layer in ("hidden", "head") for tensor in WEIGHTS}
    assert {v.name for v in manifest.weights} == left
    assert {v.name for v in manifest.variables} == left | {
        "optimizer/learning_rate",
        *(f"optimizer/momentum/{name}" for name in left),
    }
    assert {f.name.split("/")[-2] for f in manifest.frozen} == STEM | BODY | NORM
    # In each of the two forward passes: two filters and, in `infer`, nothing more.
    assert manifest.operators["CONV_2D"] == 4
    saved = json.loads(out)["savings"]
    for what in ("flops", "arena_bytes"):
        assert saved["frozen"][what] < saved["unfrozen"][what] / 2
    # A product, the gradient of its weight, and of hidden's output.
    products = 2 * 4 * (4 * 4 * 4 * 5 * 2 + 5 * 3 * 3)
    convolutions = 2 * 4 * (6 * 6 * 4 * 9 + 4 * 4 * 4 * 9 * 4)
    assert manifest.flops_per_step == saved["frozen"]["flops"] == products + convolutions
    assert_trains_as(model, {"hidden", "head"}, tmp_path / "m.tflite")


WEIGHTS = ("kernel", "bias")


def assert_trains_as(model: keras.Model, trained: set[str], path: Path) -> None:
    """Asserts that `fit` with the other layers' `trainable = False` gives the file's weights."""
    interpreter = Interpreter(str(path))
    train, save = (interpreter.get_signature_runner(n) for n in ("train", "save"))
    body = model.get_layer("body")
    for layer in (*model.layers, *body.layers):
        layer.trainable = layer.name in trained
    model.trainable = True
    for layer in (*model.layers, *body.layers):
        layer.trainable = layer.name in trained
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, 0.9), loss)
    rng = np.random.default_rng(1)
    for _ in range(4):
        x = rng.normal(size=(4, 8, 8, 1)).astype(np.float32)
        y = rng.integers(0, 3, 4).astype(np.int32)
        train(x=x, y=y)
        model.train_on_batch(x, y)
    got = save()
    for layer in ("hidden", "head"):
        for tensor, want in zip(WEIGHTS, model.get_layer(layer).get_weights(), strict=True):
            name = f"shared/{layer}/{tensor}"
            np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_sub_models_freeze_what_the_whole_freezes(run, tmp_path: Path) -> None:
    code, _, err = run(
        "zoo:digits", "-o", "m.tflite", "--freeze", "2", "--sub-model", "a=9,3", "--batch-size", "4"
    )
    assert code == 0, err
    whole, part = (artifact.read(tmp_path / n).manifest for n in ("m.tflite", "m-a.tflite"))
    assert len(whole.frozen) == 4
    assert part.frozen == whole.frozen
    assert {f.name for f in whole.frozen}.isdisjoint(v.name for v in whole.variables)


def test_what_keras_has_frozen_is_constant_too(run, tmp_path: Path) -> None:
    model = nested()
    model.get_layer("block1_bn").trainable = False
    model.get_layer("hidden").trainable = False
    model.save(tmp_path / "m.keras")
    code, _, err = run("m.keras", "-o", "m.tflite", "--batch-size", "4")
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    assert {f.name.split("/")[1] for f in manifest.frozen} == {"block1_bn", "hidden"}
    assert all(v.trainable for v in manifest.weights)
