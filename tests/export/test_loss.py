"""The loss against Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfplus_export.loss import softmax_cross_entropy

rng = np.random.default_rng(0)


def keras_loss(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    with tf.GradientTape() as tape:
        z = tf.constant(logits)
        tape.watch(z)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, z)
    return float(loss), tape.gradient(loss, z).numpy()


@pytest.mark.parametrize(("batch", "classes", "scale"), [(1, 2, 1), (4, 10, 1), (7, 3, 200)])
def test_cross_entropy_equals_keras(batch: int, classes: int, scale: float) -> None:
    logits = (rng.normal(size=(batch, classes)) * scale).astype(np.float32)
    labels = rng.integers(0, classes, batch).astype(np.int32)
    got = softmax_cross_entropy(tf.constant(logits), tf.constant(labels))
    loss, gradient = keras_loss(logits, labels)
    np.testing.assert_allclose(got.loss.numpy(), [loss], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.dlogits.numpy(), gradient, atol=1e-6)
    right = np.mean(np.argmax(logits, 1) == labels)
    np.testing.assert_allclose(got.accuracy.numpy(), [right], rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_padding_rows_count_for_nothing(rows: int) -> None:
    logits = rng.normal(size=(5, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 5).astype(np.int32)
    loss, gradient = keras_loss(logits[:rows], labels[:rows])
    labels[rows:] = -1
    got = softmax_cross_entropy(tf.constant(logits), tf.constant(labels))
    np.testing.assert_allclose(got.loss.numpy(), [loss], rtol=1e-5)
    np.testing.assert_allclose(got.dlogits.numpy()[:rows], gradient, atol=1e-6)
    assert not got.dlogits.numpy()[rows:].any()


def test_a_batch_of_padding_alone_changes_nothing() -> None:
    logits = rng.normal(size=(3, 4)).astype(np.float32)
    got = softmax_cross_entropy(tf.constant(logits), tf.constant([-1, -1, -1]))
    assert got.loss.numpy() == [0]
    assert not got.dlogits.numpy().any()
