"""The Keras model and its plain TensorFlow step, for the systems that are TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

sys.path.append(str(Path(__file__).parent.parent))

from support.step_models import build  # noqa: F401


def step_of(model: keras.Model, learning_rate: float = 0.01) -> Callable[[Any, Any], Any]:
    """One step of SGD as TensorFlow's guide writes it."""
    is_autoencoder = model.output_shape == model.input_shape
    loss_of = (
        keras.losses.MeanSquaredError()
        if is_autoencoder
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(learning_rate * gradient)
        return loss

    return step
