"""Weights that have no gradient but float32's rounding are known by name."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfplus_export.losses import compiled
from tfplus_export.optimizers import Adam
from tfplus_export.parity import rounding_alone
from tfplus_export.parity.errors.float32_noise import Found, measure
from tfplus_export.parity.errors.float32_noise import rounding_alone as of_batches
from tfplus_export.tracing import model_io
from tfplus_export.train_step import training


def named(model: keras.Model) -> frozenset[str]:
    built = training.build(
        model,
        Adam(),
        losses=compiled.named("mse", list(model_io.outputs(model))),
        batch_size=4,
        infer_batch_size=1,
    )
    before = model.get_weights()
    found = rounding_alone.weights(model, built, seed=0)
    # Also the moving averages are those of the user's model.
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(now, kept)
    return found


def test_what_a_normalization_or_a_softmax_behind_does_not_see() -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 8))
    y = layers.Dense(8, name="biased")(x)
    y = layers.GroupNormalization(8, name="groups")(y)
    y = layers.BatchNormalization(name="batch")(y)
    y = layers.Flatten()(layers.MultiHeadAttention(2, 4, name="heads")(y, y))
    assert named(keras.Model(x, layers.Dense(2)(y))) == {
        # Each group is one channel. A scale is seen: there is epsilon beside the variance.
        "shared/biased/bias",
        "shared/groups/beta",
        "shared/heads/key/bias",
    }


@pytest.mark.parametrize(
    ("exact", "float32", "names"),
    [
        ({"a": [1.0], "b": [1e-12]}, {"a": [1.0], "b": [1e-6]}, {"b"}),
        ({"a": [1.0], "b": [1e-3]}, {"a": [1.0], "b": [1e-3]}, set()),
        # No sample came there: not even rounding did.
        ({"a": [1.0], "b": [0.0]}, {"a": [1.0], "b": [0.0]}, set()),
        # Float32 loses it.
        ({"a": [1.0], "b": [1e-3]}, {"a": [1.0], "b": [-1e-3]}, {"b"}),
        ({"a": [1.0], "b": [1e-3]}, {"a": [1.0], "b": [np.nan]}, {"b"}),
    ],
)
def test_one_batch(
    exact: dict[str, list[float]], float32: dict[str, list[float]], names: set[str]
) -> None:
    assert of_batches([measure(found(exact), found(float32))]) == names


def test_one_batch_with_a_gradient_is_enough() -> None:
    zero, small = found({"a": [1.0], "b": [1e-12]}), found({"a": [1.0], "b": [1e-3]})
    noise = found({"a": [1.0], "b": [1e-6]})
    assert of_batches([measure(zero, noise), measure(zero, zero)]) == {"b"}
    assert of_batches([measure(zero, noise), measure(small, small)]) == set()


def found(gradients: dict[str, list[float]]) -> Found:
    """A loss with gradients, of layers of their own."""
    return 1.0, {name: np.array(value) for name, value in gradients.items()}
