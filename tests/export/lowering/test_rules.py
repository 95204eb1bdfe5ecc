"""Every rule of the table against TensorFlow's own gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import assert_equal, both
from small import after_a_layer

from tfplus.errors import ExportError
from tfplus_export.tracing.graph import trace

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("inputs", "units", "batch"), [(1, 2, 1), (7, 5, 3), (64, 10, 32)])
@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
def test_dense(inputs: int, units: int, batch: int, activation: str | None) -> None:
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            layers.Dense(inputs, activation="relu"),
            layers.Dense(units, activation=activation, bias_initializer="normal"),
        ]
    )
    assert_equal(model, rng.normal(size=(batch, inputs)).astype(np.float32))


def test_relu_gives_no_gradient_at_zero() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.ReLU()])
    model.layers[0].set_weights([np.eye(4, dtype=np.float32), np.zeros(4, np.float32)])
    x = np.array([[0.0, -1.0, 1e-30, 2.0]], np.float32)
    got, want = both(model, x)
    np.testing.assert_array_equal(got[2], want[2])


@pytest.mark.parametrize("shape", [(5,), (9, 3), (7, 6, 4), (1, 1, 2)])
@pytest.mark.parametrize("batch", [3, 16])
@pytest.mark.parametrize("parts", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5}])
def test_batch_normalization(shape: tuple[int, ...], batch: int, parts: dict[str, Any]) -> None:
    layer = layers.BatchNormalization(
        gamma_initializer="normal", beta_initializer="normal", **parts
    )
    model = keras.Sequential([keras.Input(shape), layers.Dense(shape[-1]), layer])
    x = rng.normal(1.0, 2.0, (batch, *shape)).astype(np.float32)
    got, want = both(model, x)
    assert len(got) == len(model.variables) + 1
    for g, w in zip(got, want, strict=True):
        # A bias before the normalization has no effect: both gradients of it are rounding.
        if w.shape == got[2].shape and np.max(np.abs(w)) < 1e-4:
            assert np.max(np.abs(g)) < 1e-4
            continue
        np.testing.assert_allclose(g, w, rtol=0, atol=5e-5 * np.max(np.abs(w)))


def test_batch_normalization_over_another_axis() -> None:
    model = keras.Sequential(
        [keras.Input((4, 5, 2)), layers.Conv2D(2, 1), layers.BatchNormalization(axis=1)]
    )
    assert_equal(model, rng.normal(size=(6, 4, 5, 2)).astype(np.float32), 1e-4)


def test_batch_normalization_that_is_used_twice_updates_its_averages_twice() -> None:
    norm = layers.BatchNormalization(momentum=0.7)
    x = keras.Input((6,))
    model = keras.Model(x, norm(layers.Dense(6, activation="relu")(norm(x))))
    assert_equal(model, rng.normal(2.0, 1.0, (12, 6)).astype(np.float32), 1e-4)


def test_frozen_batch_normalization_runs_in_inference_mode() -> None:
    norm = layers.BatchNormalization()
    model = after_a_layer(norm, (5, 5, 3))
    norm.set_weights([rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)])
    norm.trainable = False
    got, _ = both(model, x := rng.normal(size=(4, 5, 5, 3)).astype(np.float32))
    assert len(got) == 3
    assert_equal(model, x)


@pytest.mark.parametrize("axis", [-1, (2, 3), (1, 2, 3)])
def test_layer_normalization(axis: object) -> None:
    layer = layers.LayerNormalization(axis, gamma_initializer="normal")
    model = after_a_layer(layer, (4, 5, 6))
    assert_equal(model, rng.normal(size=(3, 4, 5, 6)).astype(np.float32), 1e-4)


@pytest.mark.parametrize("padding", [1, ((0, 2), (3, 1))])
def test_zero_padding(padding: object) -> None:
    model = after_a_layer(layers.ZeroPadding2D(padding), (4, 5, 2))
    assert_equal(model, rng.normal(size=(3, 4, 5, 2)).astype(np.float32))


def test_variance_alone() -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 5)),
            layers.Dense(5),
            layers.Lambda(lambda x: tf.nn.moments(x, (0, 1), keepdims=True)[1] * x),
        ]
    )
    assert_equal(model, rng.normal(size=(3, 4, 5)).astype(np.float32))


def test_only_batch_statistics_make_a_batch_dependent() -> None:
    plain = after_a_layer(layers.GlobalAveragePooling2D(), (4, 4, 2))
    normed = after_a_layer(layers.BatchNormalization(), (4, 4, 2))
    assert not trace(plain, 4, training=True).mixes_rows
    assert trace(normed, 4, training=True).mixes_rows
    assert not trace(normed, 4, training=False).mixes_rows


def test_a_function_within_a_model_is_traced_in_its_place() -> None:
    @tf.function(jit_compile=True, autograph=False)
    def as_float64(x: tf.Tensor) -> tf.Tensor:
        return x + x

    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.Lambda(as_float64)])
    assert_equal(model, rng.normal(size=(3, 4)).astype(np.float32))
    assert not tf.config.functions_run_eagerly()


def branching() -> keras.Model:
    image = keras.Input((6, 6, 2))
    a = layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    b = layers.Conv2D(3, 1)(image)
    both_ways = layers.Add()([a, b])
    difference = layers.Subtract()([a, both_ways])
    joined = layers.Concatenate()([both_ways, difference, a])
    product = layers.Multiply()([joined, layers.Rescaling(0.5, 1.0)(joined)])
    flat = layers.Flatten()(layers.MaxPooling2D()(product))
    heads = [layers.Dense(1, name=f"task_{c}_logit")(flat) for c in range(3)]
    return keras.Model(image, layers.Concatenate()(heads))


def test_branches_that_part_and_join() -> None:
    assert_equal(branching(), rng.normal(size=(3, 6, 6, 2)).astype(np.float32))


def test_a_layer_that_is_used_twice() -> None:
    shared = layers.Dense(4, activation="relu")
    x = keras.Input((4,))
    model = keras.Model(x, shared(shared(x)))
    assert_equal(model, rng.normal(size=(3, 4)).astype(np.float32))


def test_a_model_within_a_model() -> None:
    inner = keras.Sequential([keras.Input((5, 5, 1)), layers.Conv2D(2, 3), layers.Flatten()])
    model = keras.Sequential([keras.Input((5, 5, 1)), inner, layers.Dense(2)])
    assert_equal(model, rng.normal(size=(2, 5, 5, 1)).astype(np.float32))


def test_reshaping() -> None:
    model = keras.Sequential(
        [keras.Input((4, 6)), layers.Reshape((2, 4, 3)), layers.Conv2D(2, 2), layers.Flatten()]
    )
    assert_equal(model, rng.normal(size=(2, 4, 6)).astype(np.float32))


@pytest.mark.parametrize(
    ("layer", "layer_name", "operation"),
    [
        (layers.Lambda(tf.nn.local_response_normalization, name="lrn"), "lrn", "operation LRN"),
        (layers.Reshape((2, 3, 6, 2, 2), name="deep"), "deep", "expected at most 4 dimensions"),
    ],
)
def test_an_operation_without_a_rule_names_layer_and_operation(
    layer: object, layer_name: str, operation: str
) -> None:
    model = after_a_layer(layer, (6, 6, 4))
    with pytest.raises(ExportError, match=f"layer '{layer_name}'") as caught:
        both(model, rng.normal(size=(1, 6, 6, 4)).astype(np.float32))
    assert operation in str(caught.value)
