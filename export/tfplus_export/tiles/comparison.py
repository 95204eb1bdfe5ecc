"""The same training with Keras on the whole model: what tiles are held against.

Where a net has many ReLUs, rounding decides on which side of their corners some activations fall,
and training carries the difference on. So Keras also trains from weights that differ in their last
bits: how far that leads away says what a difference between tiles and Keras is worth.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.fleet.tiles.training import Outcome, Samples
from tfplus.tensors.slices import Tensors
from tfplus.tiles.step.files import TileFiles
from tfplus_export.tiles.trained import TiledTraining
from tfplus_export.tracing.naming import variable_names

# Half the distance from 1 to the next float32.
_LAST_BIT = 2.0**-24


def compare(
    training: TiledTraining,
    samples: Samples,
    outcome: Outcome,
    *,
    epochs: int,
    seed: int,
    files: TileFiles,
) -> dict[str, float]:
    """Trains the whole model on the same batches, twice, and compares.

    The model's own weights are changed.

    Args:
      training: what was trained.
      samples: what with.
      outcome: of tiles.
      epochs: passes over the samples.
      seed: of their order.
      files: what devices ran, which says how batches are cut.

    Returns:
      The largest difference of a weight relative to the largest of its tensor, from Keras, and of
      Keras from Keras with other last bits; the losses of the last step of tiles and Keras.
    """
    model: Any = training.tiled.model
    initial = {id(v): _value(v) for v in model.variables}
    batches = [rows for e in range(1, epochs + 1) for rows in files.batches(samples.order(e, seed))]
    wanted, loss = _trained(training, samples, batches)
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        value = initial[id(variable)]
        if "float" in value.dtype.name:
            value = value * (1 + _LAST_BIT * rng.choice([-2.0, 2.0], value.shape))
        variable.assign(value)
    moved, _ = _trained(training, samples, batches)
    return {
        "max_relative_difference": _difference(outcome.state, wanted),
        "keras_from_other_last_bits": _difference(moved, wanted),
        "keras_last_loss": loss,
        "tiles_last_loss": float(outcome.steps[-1].metrics["loss"]),
    }


def _trained(
    training: TiledTraining, samples: Samples, batches: list[Any]
) -> tuple[dict[str, np.ndarray], float]:
    """Weights by slice name, and the last loss, of a training from the model's weights."""
    model: Any = training.tiled.model
    names = variable_names(model)
    variables = model.trainable_variables
    optimizer = training.optimizer.keras({names[id(v)]: v for v in variables})
    optimizer.build(variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=_is_logits(training))

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            found: Any = loss_of(y, model(x, training=True))
        optimizer.apply_gradients(zip(tape.gradient(found, variables), variables, strict=True))
        return found

    compiled, loss = tf.function(step, reduce_retracing=True), float("nan")
    for rows in batches:
        x, y = tf.constant(samples.take(rows)), tf.constant(samples.labels[rows])
        loss = float(compiled(x, y))
    return {names[id(v)]: _value(v) for v in model.variables}, loss


def _value(variable: Any) -> np.ndarray:
    return np.asarray(variable.numpy())


def _difference(found: Tensors, wanted: Tensors) -> float:
    worst = 0.0
    for name, value in wanted.items():
        if name in found:
            largest = float(np.abs(value).max(initial=0.0)) or 1.0
            worst = max(worst, float(np.abs(found[name] - value).max(initial=0.0)) / largest)
    return worst


def _is_logits(training: TiledTraining) -> bool:
    """Whether the model ends before the softmax."""
    last: Any = training.tiled.model.outputs[0]._keras_history.operation
    return getattr(last, "activation", None) is not keras.activations.softmax and not isinstance(
        last, keras.layers.Softmax
    )
