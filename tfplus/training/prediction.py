"""What a model returns for any number of samples, though it takes them by batches of one size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.runtime.trainable_model import TrainableModel


def predict(model: TrainableModel, samples: Dataset) -> dict[str, npt.NDArray[np.float32]]:
    """Runs a model on samples; the last batch is padded, and what comes of the padding dropped.

    Args:
      model: an open model.
      samples: at least one; targets are not needed.

    Returns:
      Name of an output of `infer` → float32 [samples, ...].

    Raises:
      WorkerError: the accelerator failed.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    size, at = model.manifest.infer_batch_size, 0
    for batch in device_data.batches(samples, model.manifest, size):
        for name, value in model.infer(batch.inputs).items():
            if name not in found:
                found[name] = np.empty((len(samples), *value.shape[1:]), np.float32)
            found[name][at : at + batch.valid] = value[: batch.valid]
        at += batch.valid
    return found
