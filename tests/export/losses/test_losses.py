"""Every loss against Keras' own: value, gradient, metric; padding, weights, smoothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from tfplus_export.losses import padding
from tfplus_export.losses.binary import Binary
from tfplus_export.losses.dense import Categorical
from tfplus_export.losses.focal import BinaryFocal, CategoricalFocal
from tfplus_export.losses.loss import Loss, of_batch
from tfplus_export.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from tfplus_export.losses.sparse import SparseCategorical

LOSSES: list[Loss] = [
    *(SparseCategorical(logits) for logits in (True, False)),
    *(Categorical(logits, s) for logits in (True, False) for s in (0.0, 0.1)),
    *(Binary(logits, s) for logits in (True, False) for s in (0.0, 0.2)),
    *(BinaryFocal(logits, 0.1, logits, 0.3, g) for logits in (True, False) for g in (0, 1, 2, 2.5)),
    CategoricalFocal(True),
    CategoricalFocal(False, 0.1, (0.1, 0.5, 0.2, 0.7), 3.0),
    CategoricalFocal(True, 0.0, 0.4, 1.5),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(0.5),
    Huber(),
]


def of_each(losses: Iterable[Loss]) -> Callable[[Callable[[Loss], None]], Callable[[], None]]:
    """Makes one test of many: resetting Keras before each takes longer than the test."""

    def decorate(check: Callable[[Loss], None]) -> Callable[[], None]:
        def test() -> None:
            for loss in losses:
                try:
                    check(loss)
                except AssertionError as error:
                    raise AssertionError(f"{loss}: {error}") from error

        return test

    return decorate


def batch(loss: Loss, shape: tuple[int, ...], scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Random outputs that the loss takes, and targets."""
    rng = np.random.default_rng(3)
    output = rng.normal(size=shape).astype(np.float32) * np.float32(scale)
    if loss.kind == "probabilities":
        output = np.asarray(tf.sigmoid(output))
        if loss.targets != "binary":
            # Not normalized: Keras does that for some losses, and not for others.
            output = output / output.sum(-1, keepdims=True) * np.float32(0.9)
    if loss.targets == "label":
        return output, rng.integers(0, shape[-1], shape[:-1]).astype(np.int32)
    if loss.kind == "values":
        return output, rng.normal(size=shape).astype(np.float32)
    if loss.targets == "binary":
        return output, rng.integers(0, 2, shape).astype(np.float32)
    soft = rng.random(shape).astype(np.float32) ** 3
    return output, soft / soft.sum(-1, keepdims=True)


def by_keras(
    loss: Loss, output: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    with tf.GradientTape() as tape:
        z = tf.constant(output)
        tape.watch(z)
        value = loss.keras("sum_over_batch_size")(y, z, weight)
    return float(value), np.asarray(tape.gradient(value, z))


def assert_as_keras(
    loss: Loss, output: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None
) -> None:
    want, gradient = by_keras(loss, output, y, weight)
    given = None if weight is None else tf.constant(weight)
    got = of_batch(loss, tf.constant(output), tf.constant(y), sample_weight=given)
    np.testing.assert_allclose(got.loss.numpy(), [want], rtol=2e-5, atol=1e-6)
    scale = max(float(np.abs(gradient).max()), 1e-6)
    np.testing.assert_allclose(got.gradient.numpy() / scale, gradient / scale, atol=2e-5)


@of_each(LOSSES)
def test_value_and_gradient_equal_keras(loss: Loss) -> None:
    assert_as_keras(loss, *batch(loss, (7, 4)))


@of_each(LOSSES)
def test_extreme_outputs(loss: Loss) -> None:
    assert_as_keras(loss, *batch(loss, (9, 4), scale=60.0))


@of_each([Binary(True), Binary(), MeanSquaredError(), Huber()])
def test_one_output(loss: Loss) -> None:
    assert_as_keras(loss, *batch(loss, (5, 1)))


@of_each([SparseCategorical(True), Categorical(True), Binary(), MeanAbsoluteError()])
def test_a_row_is_a_step_of_a_sequence_or_a_pixel(loss: Loss) -> None:
    assert_as_keras(loss, *batch(loss, (3, 5, 4)))
    assert_as_keras(loss, *batch(loss, (2, 3, 2, 4)))


@of_each(LOSSES)
def test_padding_rows_count_for_nothing(loss: Loss) -> None:
    output, y = batch(loss, (6, 4))
    want, gradient = by_keras(loss, output[:4], y[:4])
    y[4:] = padding.fill(loss.targets)
    got = of_batch(loss, tf.constant(output), tf.constant(y))
    np.testing.assert_allclose(got.loss.numpy(), [want], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(got.gradient.numpy()[:4], gradient, atol=1e-5)
    assert not got.gradient.numpy()[4:].any()
    short = of_batch(loss, tf.constant(output[:4]), tf.constant(y[:4]))
    np.testing.assert_allclose(got.metric, short.metric, rtol=1e-6)


@of_each(LOSSES)
def test_a_batch_of_padding_alone_gives_nothing(loss: Loss) -> None:
    output, y = batch(loss, (3, 4))
    got = of_batch(
        loss, tf.constant(output), tf.fill(y.shape, np.array(padding.fill(loss.targets), y.dtype))
    )
    assert not got.loss.numpy().any()
    assert not got.metric.numpy().any()
    assert not got.gradient.numpy().any()


@of_each(LOSSES)
def test_sample_weights_are_those_of_keras(loss: Loss) -> None:
    output, y = batch(loss, (5, 4))
    weight = np.array([0.5, 2.0, 0.0, 1.0, 3.0], np.float32)
    assert_as_keras(loss, output, y, weight)
    y[3:] = padding.fill(loss.targets)
    got = of_batch(loss, tf.constant(output), tf.constant(y), sample_weight=tf.constant(weight))
    want, gradient = by_keras(loss, output[:3], y[:3], weight[:3])
    np.testing.assert_allclose(got.loss.numpy(), [want], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(got.gradient.numpy()[:3], gradient, atol=1e-5)


def test_the_weight_of_a_sample_is_that_of_all_its_rows() -> None:
    loss = Categorical(True)
    output, y = batch(loss, (2, 3, 4))
    weight = np.array([0.5, 2.0], np.float32)
    want, gradient = by_keras(loss, output, y, np.repeat(weight[:, None], 3, 1))
    got = of_batch(loss, tf.constant(output), tf.constant(y), sample_weight=tf.constant(weight))
    np.testing.assert_allclose(got.loss.numpy(), [want], rtol=2e-5)
    np.testing.assert_allclose(got.gradient, gradient, atol=1e-6)


@of_each(LOSSES)
def test_a_sum_is_the_mean_times_the_rows_that_count(loss: Loss) -> None:
    output, y = batch(loss, (5, 4))
    y[4:] = padding.fill(loss.targets)
    mean = of_batch(loss, tf.constant(output), tf.constant(y))
    total = of_batch(loss, tf.constant(output), tf.constant(y), reduction="sum")
    np.testing.assert_allclose(total.loss, 4 * mean.loss, rtol=1e-6)
    np.testing.assert_allclose(total.gradient, 4 * mean.gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(total.metric, mean.metric, rtol=1e-6)


METRICS = {
    SparseCategorical(True): keras.metrics.sparse_categorical_accuracy,
    Categorical(): keras.metrics.categorical_accuracy,
    CategoricalFocal(True): keras.metrics.categorical_accuracy,
    Binary(): keras.metrics.binary_accuracy,
    Binary(True): lambda y, z: keras.metrics.binary_accuracy(y, z, threshold=0.0),
    BinaryFocal(True): lambda y, z: keras.metrics.binary_accuracy(y, z, threshold=0.0),
    Huber(): keras.metrics.mean_absolute_error,
    MeanSquaredError(): keras.metrics.mean_absolute_error,
}


@of_each(METRICS)
def test_metrics_equal_keras(loss: Loss) -> None:
    output, y = batch(loss, (40, 4))
    want = np.mean(METRICS[loss](y, output))
    np.testing.assert_allclose(
        of_batch(loss, tf.constant(output), tf.constant(y)).metric, [want], rtol=1e-6
    )
