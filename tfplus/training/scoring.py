"""How good predictions are: accuracy, or for numbers the mean absolute error."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.model_file.manifest import Output


def score(
    output: Output, predictions: npt.NDArray[np.float32], targets: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """The metric of each sample, float64 [samples].

    Args:
      output: of the model.
      predictions: what `infer` returned of it, [samples, ..., outputs].
      targets: as `train` takes them; a label of −1 is of a class that the model lacks, and wrong.
    """
    if output.targets == "label":
        rows = predictions.argmax(axis=-1) == targets
    elif output.targets == "distribution":
        rows = predictions.argmax(axis=-1) == targets.argmax(axis=-1)
    elif output.targets == "binary":
        threshold = 0.0 if output.kind == "logits" else 0.5
        rows = (predictions > threshold) == (targets > 0.5)
    else:
        rows = np.abs(predictions - targets)
    return rows.astype(np.float64).reshape(len(rows), -1).mean(axis=1)
