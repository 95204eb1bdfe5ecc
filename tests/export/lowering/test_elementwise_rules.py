"""Activations, powers and choices against TensorFlow's own gradients, at their corners too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import activations, layers, ops
from oracle import assert_equal

from tfplus_export.lowering.ops.elementwise.erf import ERF, ERFC

rng = np.random.default_rng(0)

# What a user writes → the operations that this is made of.
ACTIVATIONS: dict[Any, tuple[str, ...]] = {
    "relu": ("Relu",),
    "relu6": ("Relu6",),
    "leaky_relu": ("LeakyRelu",),
    "elu": ("Elu",),
    "selu": ("Selu",),
    "celu": ("Expm1", "Maximum", "Minimum", "RealDiv"),
    "gelu": ("Erfc", "Neg"),
    "swish": ("Sigmoid", "IdentityN"),
    "hard_sigmoid": ("Relu6", "RealDiv"),
    "hard_swish": ("Relu6", "RealDiv"),
    "hard_tanh": ("Minimum", "Maximum"),
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "tanh_shrink": ("Tanh",),
    "softplus": ("Softplus",),
    "log_sigmoid": ("Softplus",),
    "softsign": ("Softsign",),
    "mish": ("Softplus", "Tanh"),
    "exponential": ("Exp",),
    "gelu of tanh": ("Pow", "Tanh"),
    "leaky": ("LeakyRelu",),
    "reversed leaky": ("LeakyRelu",),
    "parametric": ("Relu", "Neg"),
    "bounded": ("Relu", "Minimum", "Maximum"),
    "square": ("Square",),
    "square root": ("Sqrt",),
    "logarithm": ("Log",),
    "cube root": ("Pow",),
    "fourth power": ("Pow",),
    "quotient": ("RealDiv", "Sum"),
}

# Many small cases: `scripts/test --all` and CI run them.
pytestmark = pytest.mark.slow


def layer_of(name: str) -> keras.Layer:
    written: dict[str, Any] = {
        "gelu of tanh": lambda x: activations.gelu(x, approximate=True),
        "square": ops.square,
        "square root": lambda x: ops.sqrt(ops.square(x) + 0.1),
        "logarithm": lambda x: ops.log(ops.exp(x) + 0.1),
        "cube root": lambda x: ops.power(ops.square(x) + 0.1, 1 / 3),
        "fourth power": lambda x: ops.power(x, 4.0),
        "quotient": lambda x: x / (ops.sum(ops.exp(x), axis=-1, keepdims=True) + 1.0),
    }
    made = {
        "leaky": layers.LeakyReLU(0.3),
        "reversed leaky": layers.LeakyReLU(0.0),
        "parametric": layers.PReLU("normal"),
        "bounded": layers.ReLU(3.0),
    }
    return made.get(name) or layers.Activation(written.get(name, name))


def identity_before(layer: keras.Layer, width: int) -> keras.Model:
    """The layer behind a dense one that passes its input on, and so shows the input's gradient."""
    dense = layers.Dense(width, kernel_initializer="identity")
    return keras.Sequential([keras.Input((width,)), dense, layer])


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_activation(name: str, scale: float) -> None:
    model = keras.Sequential([keras.Input((5, 6)), layers.Dense(6), layer_of(name)])
    assert_equal(model, (scale * rng.normal(size=(4, 5, 6))).astype(np.float32))


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if "power" not in n and n != "square"])
def test_activation_far_from_zero_and_at_its_corners(name: str) -> None:
    x = np.array([[0.0, -30.0, 30.0, 6.0, -3.0, 3.0, 1.0, -1.0]], np.float32)
    if name in ("exponential", "logarithm", "quotient"):
        x = np.minimum(x, 10.0)
    assert_equal(identity_before(layer_of(name), 8), x)


@pytest.mark.parametrize(("rule", "function"), [(ERF, math.erf), (ERFC, math.erfc)])
def test_erf_is_as_near_as_it_says(rule: Any, function: Callable[[float], float]) -> None:
    x = np.linspace(-6, 6, 20001).astype(np.float32)
    want = np.array([function(float(v)) for v in x])
    got = rule.forward(None, [tf.constant(x)]).numpy()
    np.testing.assert_allclose(got, want, rtol=0, atol=6e-7)


@pytest.mark.parametrize("choose", [ops.maximum, ops.minimum])
def test_equal_operands_of_a_choice(choose: Any) -> None:
    image = keras.Input((4,))
    a = layers.Dense(4, kernel_initializer="identity")(image)
    b = layers.Dense(4, kernel_initializer="identity")(image)
    model = keras.Model(image, choose(a, ops.relu(b)))
    assert_equal(model, rng.integers(-2, 3, (5, 4)).astype(np.float32))
