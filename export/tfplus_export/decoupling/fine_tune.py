"""A short training of the decoupled model, before it is handed out."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfplus.errors import DataError
from tfplus_export.decoupling.activations import Progress
from tfplus_export.decoupling.samples import Samples


def fine_tune(
    model: keras.Model,
    activation: str,
    samples: Samples,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    progress: Progress,
) -> None:
    """Trains all of a decoupled model with Adam, on the cross-entropy over its classes.

    Args:
      model: decoupled; its weights change.
      activation: behind its logits.
      samples: to train on.
      epochs: how many.
      learning_rate: of Adam.
      batch_size: of a step.
      seed: shuffles.
      progress: told which epoch it is.

    Raises:
      DataError: it diverged.
    """
    keras.utils.set_random_seed(seed)
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=activation == "linear")
    target: Any = samples.places
    if activation == "sigmoid":
        loss = keras.losses.BinaryCrossentropy()
        target = np.eye(model.output_shape[-1], dtype=np.float32)[samples.places]
    # Of its own, so that the decoupled model is saved without what it was fine-tuned with.
    trainer: Any = keras.Model(model.inputs[0], model.outputs[0])
    trainer.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss)
    x = samples.scaled()
    for epoch in range(epochs):
        progress(f"fine-tuning, epoch {epoch + 1} of {epochs}")
        seen = trainer.fit(x, target, batch_size=batch_size, epochs=1, verbose=0)
        last = float(seen.history["loss"][-1])
        if not math.isfinite(last):
            raise DataError(
                f"fine-tuning diverged in epoch {epoch + 1}: its loss is {last:g}: expected a "
                f"finite one; give a --learning-rate below {learning_rate:g}"
            )
