"""`tfplus.Model` against Keras: `fit`, `evaluate`, `predict` on the same samples in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: TensorFlow's start-up warnings would count as errors here.
_SETUP = """
import sys
from pathlib import Path
import numpy as np, keras
from keras import layers
import tfplus
folder = Path(sys.argv[1])
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

def compare(model, x, y, held_out, **options):
    report = tfplus.export(model, folder / "m.tflite", batch_size=8, parity_steps=1, **options)
    ours = tfplus.load(report.path, threads=1)
    arguments = dict(epochs=2, shuffle=False, verbose=0, validation_data=held_out)
    want = model.fit(x, y, batch_size=8, validation_batch_size=8, **arguments).history
    got = ours.fit(x, y, **arguments).history
    shared = set(got) & set(want)
    assert {"loss", "val_loss"} <= shared, (sorted(got), sorted(want))
    # Of several outputs, Keras takes the mean of batches, not of samples, for each one's loss.
    for name in shared - {"val_sum_loss", "val_odd_loss"}:
        np.testing.assert_allclose(got[name], want[name], rtol=2e-4, atol=1e-6, err_msg=name)
    count = len(next(iter(held_out[0].values())) if isinstance(held_out[0], dict) else held_out[0])
    assert count % 8, "the last batch is to be padded"
    predicted = model.predict(held_out[0], verbose=0)
    mine = ours.predict(held_out[0])
    if not isinstance(predicted, dict):
        predicted, mine = {"": predicted}, {"": mine}
    assert sorted(mine) == sorted(predicted)
    for name, value in predicted.items():
        np.testing.assert_allclose(mine[name], value, rtol=1e-4, atol=1e-5)
    loss = model.evaluate(*held_out, batch_size=8, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(ours.evaluate(*held_out)["loss"], loss, rtol=2e-4)
    if "val_sum_loss" in got:
        total = 0.5 * np.array(got["val_sum_loss"]) + 2.0 * np.array(got["val_odd_loss"])
        np.testing.assert_allclose(total, got["val_loss"], rtol=1e-9)
    print(sorted(got))
"""

_CLASSES = """
model = keras.Sequential([
    keras.Input((6, 6, 2)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
    layers.Flatten(), layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
])
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy",
              metrics=["accuracy"])
x, y = rng.normal(size=(24, 6, 6, 2)).astype("f4"), rng.integers(0, 3, 24)
compare(model, x, y, (x[:13] + 1, y[:13]))
"""

_SEVERAL = """
a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
z = layers.Dense(8, activation="tanh")(layers.Concatenate()([a, b]))
outputs = {"sum": layers.Dense(2, name="sum")(z), "odd": layers.Dense(
    1, activation="sigmoid", name="odd")(z)}
model = keras.Model({"a": a, "b": b}, outputs)
model.compile("sgd", {"sum": "mse", "odd": "binary_crossentropy"},
              loss_weights={"sum": 0.5, "odd": 2.0})
x = {"a": rng.normal(size=(24, 3)).astype("f4"), "b": rng.normal(size=(24, 2)).astype("f4")}
y = {"sum": rng.normal(size=(24, 2)).astype("f4"), "odd": rng.integers(0, 2, (24, 1)).astype("f4")}
part = lambda d: {n: v[:13] for n, v in d.items()}
compare(model, x, y, (part(x), part(y)))
"""

_LOSSES = """
K = keras.losses
labels = rng.integers(0, 3, 24)
one_hot = np.eye(3, dtype="f4")[labels]
numbers = rng.normal(size=(24, 3)).astype("f4") * 2
for activation, loss, y in [
    (None, K.SparseCategoricalCrossentropy(from_logits=True), labels),
    ("softmax", K.CategoricalCrossentropy(label_smoothing=0.1), one_hot),
    (None, K.CategoricalCrossentropy(from_logits=True), one_hot),
    ("sigmoid", K.BinaryCrossentropy(label_smoothing=0.2), one_hot),
    (None, K.BinaryCrossentropy(from_logits=True, reduction="sum"), one_hot),
    ("sigmoid", K.BinaryFocalCrossentropy(apply_class_balancing=True), one_hot),
    ("softmax", K.CategoricalFocalCrossentropy(), one_hot),
    (None, K.MeanSquaredError(), numbers),
    (None, K.MeanAbsoluteError(), numbers),
    (None, K.Huber(0.5), numbers),
]:
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3, activation=activation)])
    model.compile(keras.optimizers.SGD(0.05), loss)
    x = rng.normal(size=(24, 5)).astype("f4")
    compare(model, x, y, (x[:13], y[:13]))
"""


def run(body: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SETUP + body, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_classes_with_batch_normalization_and_a_regularizer(tmp_path: Path) -> None:
    assert "'val_accuracy'" in run(_CLASSES, tmp_path)


@pytest.mark.slow
def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    assert "'val_odd_loss'" in run(_SEVERAL, tmp_path)


@pytest.mark.slow
def test_every_loss(tmp_path: Path) -> None:
    assert run(_LOSSES, tmp_path).count("val_loss") == 10


@pytest.mark.slow
def test_the_example_of_export(tmp_path: Path) -> None:
    body = (
        "import doctest\n"
        "from tfplus.api import exporting\n"
        "found = doctest.testmod(exporting, extraglobs={'folder': folder})\n"
        "assert found == (0, 6), found\n"
    )
    run(body, tmp_path)
