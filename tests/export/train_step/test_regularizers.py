"""Regularizers and constraints: what Keras adds to loss and update, the exported file adds too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import constraints as keras_constraints
from keras import layers
from keras import regularizers as keras_regularizers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Adam, Sgd
from tfplus_export.pipeline import api
from tfplus_export.regularization import constraints, regularizers
from tfplus_export.sources.source import Source

BATCH, STEPS, CLASSES = 8, 6, 3
L1, L2 = keras_regularizers.L1(0.02), keras_regularizers.L2(0.03)
BOTH = keras_regularizers.L1L2(0.01, 0.02)


def regularized() -> keras.Model:
    """A regularizer of every kind, of weights and of activations; one layer is used twice."""
    image = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, use_bias=False, kernel_regularizer=L2, name="conv")(image)
    x = layers.BatchNormalization(gamma_regularizer=BOTH, name="norm")(x)
    x = layers.ReLU(activity_regularizer=L2)(x)
    x = layers.Flatten()(x)
    twice = layers.Dense(5, "tanh", activity_regularizer=BOTH, kernel_regularizer=BOTH, name="d")
    x = layers.Concatenate()([twice(x), twice(x * 2.0)])
    frozen = layers.Dense(4, kernel_regularizer=L2, trainable=False, name="frozen")
    last = layers.Dense(CLASSES, bias_regularizer=L1, activity_regularizer=L1)
    return keras.Model(image, last(frozen(x)))


def constrained() -> keras.Model:
    """A constraint of every kind, some along several axes."""
    image = keras.Input((6, 6, 2))
    draw = keras_constraints.MinMaxNorm(0.4, 0.6, 0.5, axis=[0, 1, 2])
    x = layers.Conv2D(4, 3, kernel_constraint=draw, name="conv")(image)
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.Dense(5, "tanh", kernel_constraint=keras_constraints.MaxNorm(0.5), name="max")(x)
    x = layers.Dense(5, "tanh", kernel_constraint="unit_norm", bias_constraint="non_neg")(x)
    return keras.Model(image, layers.Dense(CLASSES, kernel_regularizer=L2)(x))


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (regularized, Sgd(0.05, 0.9)),
        pytest.param(regularized, Adam(0.01), marks=pytest.mark.slow),
        (constrained, Sgd(0.05, 0.9)),
    ],
    ids=["regularized", "regularized-adam", "constrained"],
)
def test_the_file_trains_as_keras_does(
    make: Callable[[], keras.Model], optimizer: Any, tmp_path: Path
) -> None:
    model = make()
    path = tmp_path / "m.tflite"
    source = Source("test:m", model, tuple(range(CLASSES)), None, None, Preprocessing(), None)
    api.export(source, path, api.Options(BATCH, optimizer=optimizer), lambda text: None)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, BATCH, 6, 6, 2)).astype(np.float32)
    y = rng.integers(0, CLASSES, (STEPS, BATCH)).astype(np.int32)
    # A short batch, padded with its own rows.
    x[2], y[2, BATCH // 2 :] = np.resize(x[2][: BATCH // 2], x[2].shape), -1

    kernels = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    files = [Interpreter(str(path), experimental_op_resolver_type=k) for k in kernels]
    model.compile(optimizer.keras(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for step in range(STEPS):
        rows = y[step] >= 0
        want = float(np.ravel(model.train_on_batch(x[step][rows], y[step][rows]))[0])
        model.reset_metrics()
        for file in files:
            got = file.get_signature_runner("train")(x=x[step], y=y[step])["loss"]
            np.testing.assert_allclose(got, [want], rtol=2e-5)
    for file in files:
        saved = file.get_signature_runner("save")()
        for variable in model.trainable_variables:
            np.testing.assert_allclose(
                saved[f"shared/{variable.path}"], variable.numpy(), atol=2e-5, err_msg=variable.path
            )


@pytest.mark.parametrize("regularizer", [L1, L2, BOTH], ids=["l1", "l2", "both"])
def test_regularizers_equal_keras(regularizer: keras.Regularizer) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    weight[0, 0, 0] = 0
    variable = keras.Variable(weight)
    variable.regularizer = regularizer
    read = regularizers.of_variable(variable)
    assert read is not None
    with tf.GradientTape() as tape:
        want = regularizer(variable)
    np.testing.assert_allclose(read.value(tf.constant(weight)), [want], rtol=1e-6)
    gradient = tape.gradient(want, variable.value)
    np.testing.assert_allclose(read.gradient(tf.constant(weight)), gradient, rtol=1e-6)


@pytest.mark.parametrize(
    "constraint",
    [
        keras_constraints.NonNeg(),
        keras_constraints.MaxNorm(1.5),
        keras_constraints.MaxNorm(1.0, axis=[0, -1]),
        keras_constraints.UnitNorm(axis=1),
        keras_constraints.MinMaxNorm(1.0, 2.0, axis=[1, 2]),
        keras_constraints.MinMaxNorm(0.5, 0.5, 0.25),
    ],
)
def test_constraints_equal_keras(constraint: keras.constraints.Constraint) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    weight[:, 0] = 0
    variable = keras.Variable(weight)
    variable.constraint = constraint
    found = constraints.of_variable(variable)
    assert found is not None
    np.testing.assert_allclose(found.project(tf.constant(weight)), constraint(weight), rtol=1e-6)


class Own(keras_constraints.NonNeg):
    pass


def test_what_has_no_rule_is_named() -> None:
    variable = keras.Variable(np.ones((2, 2)), name="kernel")
    assert constraints.of_variable(variable) is regularizers.of_variable(variable) is None
    variable.constraint = Own()
    with pytest.raises(ExportError, match="'kernel' has the constraint Own, which has no rule"):
        constraints.of_variable(variable)
    variable.regularizer = lambda w: w
    with pytest.raises(ExportError, match="'kernel' has the regularizer function"):
        regularizers.of_variable(variable)
