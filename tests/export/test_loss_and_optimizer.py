"""The optimizer against Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.optimizer import Sgd, from_keras

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    "sgd",
    [Sgd(0.1), Sgd(0.05, 0.9), Sgd(0.02, 0.8, True)],
    ids=["plain", "momentum", "nesterov"],
)
def test_updates_equal_keras(sgd: Sgd) -> None:
    start = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=(2,))}
    weights = {n: tf.constant(v, tf.float32) for n, v in start.items()}
    state = {
        n: tf.constant(v) for n, v in sgd.state({n: v.shape for n, v in start.items()}).items()
    }
    variables = [tf.Variable(v) for v in weights.values()]
    optimizer = sgd.keras()
    for _ in range(4):
        gradients = {n: rng.normal(size=v.shape).astype(np.float32) for n, v in start.items()}
        optimizer.apply_gradients(zip(gradients.values(), variables, strict=True))
        new_weights, new_state = sgd.apply(weights, gradients, state)
        weights, state = weights | new_weights, state | new_state
        for got, want in zip(weights.values(), variables, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_a_compiled_optimizer_is_read() -> None:
    assert from_keras(keras.optimizers.SGD(0.25, 0.5, True)) == Sgd(0.25, 0.5, True)


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (lambda: keras.optimizers.Adam(), "Adam"),
        (lambda: keras.optimizers.SGD(weight_decay=0.1), "weight_decay"),
        (lambda: keras.optimizers.SGD(clipnorm=1.0), "clipnorm"),
        (lambda: keras.optimizers.SGD(use_ema=True), "use_ema"),
        (
            lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 9, 0.5)),
            "schedule",
        ),
    ],
)
def test_an_optimizer_without_a_rule_is_named(optimizer: object, named: str) -> None:
    with pytest.raises(ExportError, match=named):
        from_keras(optimizer())  # type: ignore[operator]
