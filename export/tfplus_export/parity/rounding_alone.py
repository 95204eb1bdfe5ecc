"""Which weights have no gradient but float32's rounding, so that devices may differ in them."""

from __future__ import annotations

import keras
import numpy as np

from tfplus_export.parity.comparison import short_rows
from tfplus_export.parity.errors.float32_noise import rounding_alone
from tfplus_export.parity.policy import PROBES
from tfplus_export.parity.reference.float64_rewrite import NoFloat64Error
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import RandomSamples
from tfplus_export.train_step.training import Training


def weights(model: keras.Model, training: Training, seed: int) -> frozenset[str]:
    """Asks TensorFlow in float32 and in float64, with the weights as they are.

    Args:
      model: the Keras model.
      training: the step that was made of it.
      seed: of the samples.

    Returns:
      Names of weights; none where an operation knows float32 alone.
    """
    rng, rows = np.random.default_rng(seed), short_rows(training)
    batches = [RandomSamples().batch(training, rng) for _ in range(PROBES)]
    few = [{name: value[:rows] for name, value in batch.items()} for batch in batches]
    # Passes in training mode move the averages of batch normalizations.
    kept = model.get_weights()
    try:
        return rounding_alone(Reference(model, training).float32_noise(few))
    except NoFloat64Error:
        return frozenset()
    finally:
        model.set_weights(kept)
