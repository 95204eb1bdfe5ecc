"""The zoo's Keras model and its plain TensorFlow step, for the systems that are TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfplus_export import zoo


def build(name: str) -> tuple[keras.Model, zoo.Entry]:
    """The model and its entry in the zoo."""
    entry = zoo.entry(name)
    return entry.build(entry.input_shape, range(entry.classes)), entry


def step_of(model: keras.Model, learning_rate: float = 0.01) -> Callable[[Any, Any], Any]:
    """One step of SGD as TensorFlow's guide writes it."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(learning_rate * gradient)
        return loss

    return step
