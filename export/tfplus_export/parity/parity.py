"""Does the exported file compute what TensorFlow computes? Asked at every export.

The same batches train the Keras model under `tf.GradientTape`, with Keras' own loss and optimizer,
and the file under LiteRT, with and without XNNPACK. The file is put to TensorFlow's state before
each step, and the step's loss and its update of every variable are compared. A free run would not
tell whether each gradient is right: a pre-activation of ±1e-9 falls on either side of a ReLU, and
the two drift apart.

An optimizer that divides by the size of past gradients, such as Adam, starts from the state that
some training would leave, as large as the layer's gradients are: its update is then as right or
wrong as the gradient. From zeros it would be the gradient's sign, whatever the gradient's size: a
bias in front of a batch normalization, whose gradient is rounding noise, would move as far as any
weight, and in another direction than TensorFlow's.

Which checks that takes is decided by `policy`, and done by `comparison`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.parity.comparison import Comparison, short_rows
from tfplus_export.parity.errors.verdict import TOLERANCE, Parity
from tfplus_export.parity.samples.draw import Draw, RandomSamples
from tfplus_export.train_step.training import Training


def verify(
    content: bytes,
    model: keras.Model,
    training: Training,
    *,
    steps: int,
    seed: int,
    real: Draw | None = None,
) -> dict[str, Any]:
    """Compares the file with TensorFlow; the model's weights are put back afterwards.

    Args:
      content: the flatbuffer.
      model: the Keras model it was made of.
      training: the step that it holds.
      steps: how many batches of each kind of data.
      seed: of those data.
      real: the user's own samples, beside random ones.

    Returns:
      What was measured, for the manifest.

    Raises:
      ExportError: an error is above its tolerance; nothing should be written then.
    """
    kinds: dict[str, Draw] = {"random": RandomSamples()} | ({"real": real} if real else {})
    kept = model.get_weights()
    results: list[Parity] = []
    for kind, draw in kinds.items():
        rng = np.random.default_rng(seed)
        try:
            results += Comparison(
                content, model, training, steps=steps, kind=kind, draw=draw, rng=rng
            ).run()
        finally:
            model.set_weights(kept)
    for result in results:
        if not result.holds:
            raise ExportError(result.complaint)
    return {
        "against": f"tf.GradientTape, TensorFlow {tf.__version__}, Keras {keras.__version__}",
        "data": {kind: draw.describe(seed) for kind, draw in kinds.items()},
        "rows": f"{short_rows(training)} a step, the rest padding; the last step full",
        "tolerance": TOLERANCE,
        "runs": [asdict(result) for result in results],
    }
