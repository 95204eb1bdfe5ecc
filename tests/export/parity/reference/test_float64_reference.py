"""In double precision a right step agrees to many digits, and a wrong one does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from rule_cases import BATCH, CASES

from tfplus_export.losses import compiled
from tfplus_export.lowering.engine.rule import Rule, Rules
from tfplus_export.lowering.ops.convolution.convolutions import CONV2D
from tfplus_export.lowering.ops.convolution.depthwise_convolutions import DEPTHWISE_CONV2D
from tfplus_export.lowering.ops.reductions import MEAN, VARIANCE
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Sgd
from tfplus_export.parity.errors.verdict import EXACT, Parity
from tfplus_export.parity.reference import reference
from tfplus_export.parity.reference.float64_reference import Float64Evidence, compare
from tfplus_export.parity.reference.float64_rewrite import Float64Function, NoFloat64Error
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import RandomSamples
from tfplus_export.tracing import model_io
from tfplus_export.train_step import training

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

# TensorFlow resizes into float32, whatever comes in, and has no gradient of a grouped convolution
# in double precision; a plain one is in `small`.
FLOAT32_ALONE = ("Conv2D", "ResizeBicubic", "ResizeBilinear")


def told(model: keras.Model, rules: Rules = RULES) -> Float64Evidence:
    """What double precision tells of a model's step on one random batch."""
    built = training.build(
        model,
        Sgd(0.1),
        losses=compiled.named("mse", list(model_io.outputs(model))),
        batch_size=BATCH,
        infer_batch_size=1,
        rules=rules,
    )
    batch = RandomSamples().batch(built, np.random.default_rng(0))
    return Reference(model, built).in_float64([(batch, batch)], [model.get_weights()], built)


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu", padding="same")(x)
    y = layers.BatchNormalization()(layers.MaxPooling2D()(y))
    return keras.Model(x, layers.Dense(3)(layers.Dropout(0.5)(layers.Flatten()(y))))


def test_a_step_agrees_where_float32_does_not() -> None:
    """Pre-activations are sums that cancel: rounding decides what a ReLU lets through."""
    x = keras.Input((64,))
    twice = layers.Concatenate()([x, x])
    model = keras.Model(x, layers.Dense(1)(layers.ReLU()(layers.Dense(8, name="a")(twice))))
    kernel = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    less = np.nextafter(kernel, np.float32(0))
    model.get_layer("a").set_weights([np.concatenate([kernel, -less]), np.zeros(8, np.float32)])
    found = told(model)
    assert found.step < 1e-9
    assert found.own_update > 0.1


def test_batch_statistics_pooling_and_noise_agree() -> None:
    found = told(small())
    assert found.step < 1e-12
    assert found.own_update < 1e-4


@pytest.mark.parametrize("lowering", CONV2D.rules)
def test_every_lowering_of_a_convolution_agrees(lowering: str) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((9, 10, 3))
    y = layers.Conv2D(5, 3, padding="same")(layers.Conv2D(4, 3)(x))
    rules = {**RULES, "Conv2D": CONV2D.rules[lowering]}
    assert told(keras.Model(x, layers.Dense(3)(layers.Flatten()(y))), rules).step < 1e-11


@pytest.mark.parametrize("lowering", DEPTHWISE_CONV2D.rules)
def test_every_lowering_of_a_depthwise_convolution_agrees(lowering: str) -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((9, 10, 3))
    y = layers.DepthwiseConv2D(3, 2, "same", 2)(layers.DepthwiseConv2D(3)(x))
    rules = {**RULES, "DepthwiseConv2dNative": DEPTHWISE_CONV2D.rules[lowering]}
    assert told(keras.Model(x, layers.Dense(3)(layers.Flatten()(y))), rules).step < 1e-11


def test_a_wrong_rule_shows() -> None:
    rule = RULES["MaxPool"]
    assert isinstance(rule, Rule)

    def wrong(*arguments: Any) -> list[Any]:
        return [1.0001 * g for g in rule.gradient(*arguments)]

    changed = dataclasses.replace(rule, gradient=wrong)
    assert 1e-5 < told(small(), {**RULES, "MaxPool": changed}).step < 1e-3


def faint() -> keras.Model:
    """Tiny activations that batch normalizations raise, each by 1/√epsilon, as an untrained net's.

    What shifts them has no gradient but what is left of terms of 1e8.
    """
    x = keras.Input((4,))
    y = layers.Rescaling(1e-9)(layers.Dense(3, use_bias=False)(x))
    for _ in range(6):
        y = layers.BatchNormalization()(y)
    return keras.Model(x, layers.Dense(2)(y))


def test_what_double_precision_itself_rounds_is_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(faint()).step <= EXACT
    # That is what the neighbouring numbers are for.
    monkeypatch.setattr(reference, "NUDGES", 0)
    assert told(faint()).step > 10 * EXACT


@pytest.mark.slow
def test_an_untrained_mobilenet_half_in_inference_mode_agrees_and_a_wrong_rule_shows() -> None:
    """Statistics that were never learned leave activations of 1e-12 to those that are."""
    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None)
    for layer in base.layers[:100]:
        layer.trainable = False
    x = keras.Input((32, 32, 3))
    y = layers.GlobalAveragePooling2D()(base(x, training=False))
    model = keras.Model(x, layers.Dense(10)(y))
    assert told(model).step <= EXACT
    rule = RULES["Relu6"]
    assert isinstance(rule, Rule)
    changed = dataclasses.replace(
        rule, gradient=lambda *given: [1.0001 * g for g in rule.gradient(*given) if g is not None]
    )
    assert told(model, {**RULES, "Relu6": changed}).step > 10 * EXACT


@pytest.mark.parametrize("factor", [1.001, -1.0])
def test_a_wrong_rule_shows_beside_what_double_precision_rounds(factor: float) -> None:

    def wrong(*arguments: Any) -> list[Any]:
        x, mean = VARIANCE.gradient(*arguments)
        return [factor * x, mean]

    changed = dataclasses.replace(VARIANCE, gradient=wrong)
    assert told(faint(), {**RULES, "Mean": (changed, MEAN)}).step > 1e-5


def test_a_gradient_that_is_zero_by_nature_is_named() -> None:
    x = keras.Input((4,))
    y = layers.BatchNormalization(scale=False, name="shifted")(layers.Dense(3, name="a")(x))
    y = layers.BatchNormalization(name="behind")(y)
    found = told(keras.Model(x, layers.Dense(2)(y)))
    assert found.vanishing == {"shared/shifted/beta", "shared/a/bias"}
    assert found.vanishes("optimizer/momentum/shared/a/bias")
    assert not found.vanishes("shared/a/kernel")
    assert found.step < 1e-6
    assert found.own_update < 1e-4


def test_constants_are_folded_in_double_precision() -> None:
    """Rounded to float32, the square root alone would be off by 1e-8."""
    x = keras.Input((4,))
    y = layers.Normalization(mean=[0.1] * 4, variance=[0.3] * 4)(layers.Rescaling(1 / 3)(x))
    y = layers.BatchNormalization()(layers.Dense(3, use_bias=False)(y))
    assert told(keras.Model(x, layers.Dense(2)(y))).step < 1e-13


def test_what_calls_a_function_has_no_double() -> None:
    inner: Any = tf.function(lambda x: x * x, autograph=False)
    outer: Any = tf.function(lambda x: inner(x) + 1.0, autograph=False)
    with pytest.raises(NoFloat64Error, match="calls a function"):
        Float64Function(outer.get_concrete_function(tf.TensorSpec([2], tf.float32)))


def parity(update: float, own: float, float64: float | None = 1e-12) -> Parity:
    return Parity(3, 4, 0.0, 0.0, update, "a", 0, 0, float64, 0.0, own, True, "random")


def test_an_error_may_be_some_times_that_of_tensorflow_but_no_larger() -> None:
    assert parity(9e-4, 0.0).holds
    assert not parity(2e-3, 0.0).holds
    assert parity(0.02, 0.01).holds
    assert not parity(0.06, 0.01).holds
    assert not parity(0.4, 1.0).holds
    assert not parity(float("nan"), 1.0).holds


def test_a_step_that_is_not_exact_in_double_precision_may_not() -> None:
    assert not parity(0.02, 0.01, 1e-4).holds
    assert not parity(0.02, 0.01, None).holds
    assert not parity(0.02, 0.01, float("nan")).holds
    assert parity(9e-4, 0.01, None).holds


def test_what_double_precision_refutes_does_not_pass_beside_float32() -> None:
    assert not parity(0.0, 0.0, 0.5).holds
    assert "off by 5e-01" in parity(0.0, 0.0, 0.5).complaint


def test_a_gradient_that_float32_loses_is_left_out_only_where_the_step_is_exact() -> None:
    exact = 1.0, {"a": np.ones(4), "b": np.ones(4)}
    noise = 1.0, {"a": np.full(4, 1.5), "b": np.ones(4)}
    assert compare(exact, noise, exact).vanishing == {"a"}
    wrong = 1.0, {"a": np.full(4, 1.01), "b": np.ones(4)}
    assert not compare(exact, noise, wrong).vanishing


def test_the_larger_of_two_measurements_counts() -> None:
    assert Float64Evidence(1e-9, 0.1, 0.4).worse(
        Float64Evidence(1e-8, 0.2, 0.3)
    ) == Float64Evidence(1e-8, 0.2, 0.4)


@pytest.mark.slow
@pytest.mark.parametrize("operation", CASES)
def test_a_rule_in_double_precision(operation: str) -> None:
    model = CASES[operation].build()
    if operation in FLOAT32_ALONE:
        with pytest.raises(NoFloat64Error):
            told(model)
    else:
        # What TFLite lacks is computed to the precision of float32.
        assert told(model).step < (1e-6 if operation in ("Erf", "Erfc") else 1e-9)
