"""What cannot be decoupled: an error that says what was expected, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
IMAGE = (6, 6, 2)


def chain(*behind: Any, start: bool = True) -> keras.Model:
    stem = [layers.Conv2D(6, 3, name="conv")] if start else []
    return keras.Sequential([keras.Input(IMAGE), *stem, *behind])


def ends(model: Any, output: Any) -> keras.Model:
    return keras.Model(model, output)


def two_paths() -> keras.Model:
    image = keras.Input(IMAGE)
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    y = layers.Add(name="sum")([x, layers.Conv2D(6, 3, padding="same", name="side")(x)])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(y)))


def around() -> keras.Model:
    image = keras.Input(IMAGE)
    x = layers.Conv2D(6, 3, name="stem")(image)
    short = layers.Conv2D(6, 1, name="short")(x)
    long = layers.Conv2D(6, 1, name="second")(layers.Conv2D(6, 1, name="first")(x))
    y = layers.Add(name="sum")([short, long])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(y)))


def twins() -> keras.Model:
    image = keras.Input(IMAGE)
    parts = [keras.Sequential([layers.Conv2D(2, 3, name="conv")], name=n) for n in "ab"]
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(parts[1](parts[0](image)))))


def already() -> keras.Model:
    image = keras.Input(IMAGE)
    x = layers.Flatten()(layers.Conv2D(4, 3, name="conv")(image))
    parts = [layers.Dense(1, name=f"task_{i}_logit")(x) for i in range(3)]
    return keras.Model(image, layers.Concatenate()(parts))


MODELS: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "no convolution": (
        lambda: chain(layers.Flatten(), layers.Dense(3), start=False),
        "has no convolutional tail",
    ),
    "no classifier": (
        lambda: chain(layers.Conv2D(3, 1, name="points"), layers.GlobalAveragePooling2D(name="g")),
        "ends in layer 'g', a GlobalAveragePooling2D: expected a Dense layer",
    ),
    "other activation": (
        lambda: chain(layers.Flatten(), layers.Dense(3, activation="relu", name="out")),
        "layer 'out': has the activation relu: expected one of linear, softmax, sigmoid",
    ),
    "layer that mixes": (
        lambda: chain(layers.LayerNormalization(name="mix"), layers.Flatten(), layers.Dense(3)),
        "layer 'mix': a LayerNormalization cannot be cut by class",
    ),
    "groups": (
        lambda: chain(
            layers.Conv2D(6, 3, groups=2, name="grouped"), layers.Flatten(), layers.Dense(3)
        ),
        "layer 'grouped': has 2 groups",
    ),
    "shared operand": (
        two_paths,
        "layer 'sum', a Add: joins the output of the shared layers with filters of side: expected "
        "filters of cut layers alone; --layers 1 cuts there: the nearest that works is 2",
    ),
    "around the cut": (
        around,
        "layer 'sum', a Add: reads the output of 'short', which goes around the cut: expected one "
        "tensor that everything behind the cut is made of; --layers 1 cuts there: the nearest "
        "that works is 2",
    ),
    "same names": (twins, "two layers within its models are called 'conv'"),
    "already decoupled": (already, "layer 'task_0_logit' is of one class already"),
}


def decouple(run: Any, tmp_path: Path, model: keras.Model, data: Path, *more: str) -> str:
    """The error of a command that must fail and leave nothing."""
    path = tmp_path / "m.keras"
    model.save(path)
    before = sorted(tmp_path.iterdir())
    arguments = ["decouple", path, "--data", data, "-o", tmp_path / "plan", *more]
    if "--layers" not in more:
        arguments += ["--layers", "1"]
    code, out, err = run(*arguments)
    assert code in (2, 3, 4), err
    assert out == ""
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before
    return " ".join(err.split())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_cut(name: str, tmp_path: Path, data: Path, tfplus: Any) -> None:
    build, message = MODELS[name]
    assert message in decouple(tfplus, tmp_path, build(), data, "--classes", "5,0,9")


@pytest.fixture
def good() -> keras.Model:
    return chain(layers.Flatten(), layers.Dense(3, name="out"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--classes", "5,0,7"), "y: holds the labels [9]: expected the model's [5, 0, 7]"),
        (("--classes", "5,0"), "2 labels, but the model has 3 outputs"),
        (("--classes", "5,0,9", "--share", "0.1"), "leaves a class no filter of layer 'conv'"),
        (("--classes", "5,0,9", "--share", "0.9"), "want 15 of layer 'conv', which has 6"),
        (("--classes", "5,0,9", "--layers", "2"), "the model has 1 convolutions"),
        (("--classes", "5,0,9", "--scale", "x"), "--scale 'x'"),
    ],
)
def test_options_that_do_not_fit(
    more: tuple[str, ...], message: str, good: Any, tmp_path: Path, data: Path, tfplus: Any
) -> None:
    assert message in decouple(tfplus, tmp_path, good, data, *more)


def test_bad_data(good: Any, tmp_path: Path, tfplus: Any) -> None:
    x = np.zeros((4, *IMAGE), np.float32)
    y = np.array([0, 1, 2, 1])
    wrong = x.copy()
    wrong[3, 0, 0, 0] = np.nan
    for arrays, message in (
        ({"x": x, "y": np.array([0, 1, 1, 1])}, "has no sample of the classes [2]"),
        ({"x": wrong, "y": y}, "sample 3 holds NaN"),
        ({"x": x[:, :5], "y": y}, "x: expected numbers of shape [samples, 6, 6, 2]"),
        ({"x": x, "y": y[:2]}, "y: expected one integer label for each of 4 samples"),
        ({"x": x}, "expected the arrays x and y"),
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        assert message in decouple(tfplus, tmp_path, good, tmp_path / "bad.npz")
    assert "bad.npz" in decouple(tfplus, tmp_path, good, tmp_path / "bad.npz")


def test_weights_that_make_nan(good: Any, tmp_path: Path, data: Path, tfplus: Any) -> None:
    layer = good.layers[0]
    layer.set_weights([v * np.nan for v in layer.get_weights()])
    said = decouple(tfplus, tmp_path, good, data, "--classes", "5,0,9")
    assert "outputs hold NaN" in said


def test_a_fine_tuning_that_diverges(good: Any, tmp_path: Path, data: Path, tfplus: Any) -> None:
    tuning = ("--fine-tune-epochs", "2", "--learning-rate", "1e30")
    said = decouple(tfplus, tmp_path, good, data, "--classes", "5,0,9", *tuning)
    assert "fine-tuning diverged in epoch 1" in said
    assert "--learning-rate below 1e+30" in said


def test_random_weights_and_a_folder_in_the_way(tmp_path: Path, data: Path, tfplus: Any) -> None:
    code, _, err = tfplus(
        "decouple", "zoo:lenet", "--data", data, "--layers", "1", "-o", tmp_path / "p"
    )
    assert code == 2
    assert "has random weights" in err
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine.txt").touch()
    code, _, err = tfplus(
        "decouple", "m.keras", "--data", data, "--layers", "1", "-o", tmp_path / "p"
    )
    assert code == 2
    assert "is not an empty directory" in err
