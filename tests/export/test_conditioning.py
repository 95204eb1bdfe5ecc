"""How far float32 determines gradients, told by moving weights by a rounding."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tfplus_export.conditioning import OwnError, own_error
from tfplus_export.parity import Parity


def measured(bias: float) -> tuple[OwnError, keras.Model]:
    """Of a ReLU whose pre-activations are sums of 64 terms and a bias."""
    x = keras.Input((64,))
    hidden = layers.Dense(8, bias_initializer=keras.initializers.Constant(bias), name="a")(x)
    model = keras.Model(x, layers.Dense(1, name="b")(layers.ReLU()(hidden)))
    kernel = model.get_weights()[0]
    # Pairs that cancel: without a bias every pre-activation is rounding.
    kernel[1::2] = -kernel[::2]
    model.layers[1].set_weights([kernel, model.get_weights()[1]])
    rng = np.random.default_rng(0)

    def gradients() -> tuple[float, list[np.ndarray]]:
        values = np.repeat(rng_x, 2, axis=1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(values))
        found = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return float(loss), [np.asarray(g) for g in found]

    rng_x = rng.normal(size=(4, 32)).astype(np.float32)
    named = {v.path: v for v in model.trainable_variables}
    before = [np.array(w) for w in model.get_weights()]
    found = own_error([gradients] * 3, named, rng)
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    return found, model


def test_where_rounding_decides_nothing_gradients_stand_still() -> None:
    found, _ = measured(5.0)
    assert max(found.gradients.values()) < 1e-5
    assert found.loss < 1e-5


def test_where_rounding_decides_they_jump() -> None:
    found, _ = measured(0.0)
    assert found.of("a/kernel") > 0.1
    assert found.of("optimizer/momentum/a/kernel") == found.of("a/kernel")
    assert found.of("another") == 0.0


def parity(update: float, own: float) -> Parity:
    return Parity(3, 4, 0.0, 0.0, update, "a", 0.0, own, True, "random")


def test_an_error_may_be_some_times_that_of_tensorflow_but_no_larger() -> None:
    assert parity(9e-4, 0.0).holds
    assert not parity(2e-3, 0.0).holds
    assert parity(0.02, 0.01).holds
    assert not parity(0.04, 0.01).holds
    assert not parity(0.4, 1.0).holds
    assert not parity(float("nan"), 1.0).holds


def test_the_larger_of_two_measurements_counts() -> None:
    both = OwnError(0.1, {"a": 0.3}).larger(OwnError(0.2, {"a": 0.1, "b": 0.4}))
    assert both == OwnError(0.2, {"a": 0.3, "b": 0.4})
