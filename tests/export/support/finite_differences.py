"""Slopes in double precision, from values alone: a judge that knows nothing of backpropagation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

import keras
import numpy as np
import tensorflow as tf

# So short that it seldom crosses the corner of a ReLU; doubles leave 7 digits of the slope.
STEP = 3e-8


@contextlib.contextmanager
def double_precision() -> Generator[None]:
    """Within, Keras builds models of float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def slope_error(
    build: Callable[[], keras.Model],
    weights: list[np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    gradients: dict[int, np.ndarray],
) -> float:
    """Compares gradients of sum(output * dy) with its slopes along random directions.

    Args:
      build: makes the model anew; called while Keras builds in float64.
      weights: values of all its variables, in their order.
      x: one batch.
      dy: of the shape of the output.
      gradients: index of a variable → what it is said to be.

    Returns:
      The largest |slope - gradient · direction| relative to |gradient| |direction|.
    """
    with double_precision():
        model = build()
    rng = np.random.default_rng(5)
    inputs = tf.constant(x.astype(np.float64) if x.dtype.kind == "f" else x)

    def total(index: int, value: np.ndarray) -> float:
        for i, (variable, start) in enumerate(zip(model.variables, weights, strict=True)):
            variable.assign(value if i == index else start)
        return float(tf.reduce_sum(tf.cast(model(inputs, training=True), tf.float64) * dy))

    # A gradient that is 0 by nature, as of a bias before a normalization, is rounding.
    floor = max(1e-3, 0.05 * max(float(np.linalg.norm(g)) for g in gradients.values()))
    worst = 0.0
    for index, gradient in gradients.items():
        start = weights[index].astype(np.float64)
        direction = rng.normal(size=start.shape)
        length = float(np.linalg.norm(direction))
        step = STEP * direction
        slope = (total(index, start + step) - total(index, start - step)) / (2 * STEP)
        got = float(np.sum(gradient.astype(np.float64) * direction))
        scale = length * max(float(np.linalg.norm(gradient)), floor)
        worst = max(worst, abs(slope - got) / scale)
    return worst
