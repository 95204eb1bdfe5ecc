"""The learning rate of an open model: a variable of its optimizer."""

from __future__ import annotations

import numpy as np

from tfplus.errors import UsageError
from tfplus.model_file import state_ranges
from tfplus.model_file.manifest import Manifest
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.tensors import slices

LEARNING_RATE = f"{slices.OPTIMIZER}/{state_ranges.LEARNING_RATE}"


def require(manifest: Manifest) -> None:
    """Checks that a model's learning rate can be changed.

    Raises:
      UsageError: it is a constant of its graph.
    """
    if LEARNING_RATE not in manifest.expected():
        raise UsageError(
            f"{manifest.name}: its learning rate cannot be changed, for the file has no variable "
            f"{LEARNING_RATE}: export it with another --learning-rate"
        )


def put(model: TrainableModel, rate: float) -> None:
    """Sets it, where it is another one; copies every variable.

    Raises:
      UsageError: it cannot be changed.
      WorkerError: the accelerator failed.
    """
    require(model.manifest)
    values = model.save()
    wanted = np.full_like(values[LEARNING_RATE], rate)
    if not np.array_equal(values[LEARNING_RATE], wanted):
        model.restore({**values, LEARNING_RATE: wanted})
