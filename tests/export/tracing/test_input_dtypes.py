"""Inputs of 64 bits, and integers of fewer than 32: the file takes 32, and trains as Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import DataError, ExportError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

BATCH, WORDS = 4, 11


def exported(model: keras.Model, path: Path, **options: Any) -> Artifact:
    source = Source("test", model, None, None, None, Preprocessing(), None)
    return api.export(source, path, api.Options(BATCH, BATCH, **options), lambda text: None)


def text_model(dtype: str) -> keras.Model:
    words = keras.Input((5,), dtype=dtype, name="words")
    x = layers.Embedding(WORDS, 3, mask_zero=True)(words)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(words, layers.Dense(2, name="out")(x))


def numbers(dtype: str) -> keras.Model:
    x = keras.Input((5,), dtype=dtype, name="x")
    y = x if dtype.startswith("float") else layers.Rescaling(1 / 255)(x)
    return keras.Model(x, layers.Dense(2, name="out")(y))


@pytest.mark.parametrize(
    ("make", "dtype", "taken"),
    [
        (text_model, "int64", "int32"),
        (text_model, "uint8", "int32"),
        (numbers, "float64", "float32"),
        (numbers, "uint8", "int32"),
    ],
)
def test_a_step_is_keras_own(make: Any, dtype: str, taken: str, tmp_path: Path) -> None:
    model = make(dtype)
    written = exported(model, tmp_path / "m.tflite", parity_steps=1)
    read = artifact.read(written.path).manifest
    assert read.inputs["x"].dtype == taken
    assert read.declared_dtypes == {"x": dtype}
    rng = np.random.default_rng(1)
    x = rng.integers(0, WORDS, (BATCH, 5)).astype(taken)
    y = np.array([0, 1, 1, 0], np.int32)
    interpreter = Interpreter(str(written.path))
    (got,) = interpreter.get_signature_runner("infer")(x=x).values()
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    loss = interpreter.get_signature_runner("train")(x=x, y=y)["loss"]
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        want = loss_of(y, model(x.astype(dtype), training=True))
    np.testing.assert_allclose(loss, [float(want)], rtol=1e-5)
    kernel = model.layers[-1].kernel
    moved = kernel - 0.01 * tape.gradient(want, kernel)
    saved = interpreter.get_signature_runner("save")()["shared/out/kernel"]
    np.testing.assert_allclose(saved, moved, rtol=1e-5, atol=1e-6)


def test_text_behind_a_vectorization_that_stays_outside(tmp_path: Path) -> None:
    vectorize = layers.TextVectorization(max_tokens=WORDS, output_sequence_length=5)
    vectorize.adapt(["a b c d", "b c d e"])
    words = vectorize(["a b c", "d e f a"] * 2)
    assert words.dtype == tf.int64
    data = tmp_path / "d.npz"
    np.savez(data, x=words.numpy(), y=np.array([0, 1, 0, 1]))
    written = exported(text_model("int64"), tmp_path / "m.tflite", parity_steps=1, data=data)
    assert written.manifest.parity["data"]["real"].startswith("d.npz")
    np.savez(data, x=np.full((4, 5), 2**31), y=np.array([0, 1, 0, 1]))
    with pytest.raises(DataError, match="x: holds 2147483648: expected integers of 32 bits"):
        exported(text_model("int64"), tmp_path / "n.tflite", parity_steps=1, data=data)


@pytest.mark.parametrize("dtype", ["string", "bool"])
def test_other_inputs_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    x = keras.Input((5,), dtype=dtype)
    cast = layers.Lambda(lambda v: tf.zeros((tf.shape(v)[0], 5)), output_shape=(5,))
    with pytest.raises(ExportError, match=f"input 'x': expected numbers .* got {dtype}"):
        exported(keras.Model(x, layers.Dense(2)(cast(x))), tmp_path / "m.tflite")
