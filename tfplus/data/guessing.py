"""The loss of guessing, which that of an untrained model should not be far above.

A model that knows nothing of a row says that all classes are as probable, or of a number that it is
0. Samples of another range than a model's first show in a loss that is many times that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.model_file.manifest import Output

# Of an untrained net's first loss; what it is at other data lies above hundred.
FAR = 5.0
_ENOUGH_ROWS = 4096


def guess_loss(
    outputs: Sequence[Output],
    widths: Mapping[str, int],
    targets: Mapping[str, npt.NDArray[Any]],
    rows: int,
    sample_weight: npt.NDArray[np.float32] | None = None,
) -> float | None:
    """The loss of a batch of which nothing is known.

    Args:
      outputs: of the model.
      widths: name of an output → how many numbers the model returns of one row of it.
      targets: name of a target → as `train` takes it, [samples, ...].
      rows: samples in a batch, for losses that are sums over it.
      sample_weight: of each sample, where the model takes one.

    Returns:
      The sum over all outputs; None where a loss is not known.
    """
    total = 0.0
    for output in outputs:
        stored = targets[output.target]
        chosen = np.linspace(0, len(stored) - 1, min(len(stored), _ENOUGH_ROWS)).astype(np.int64)
        loss = _of_output(output, widths[output.name], stored[chosen])
        if loss is None:
            return None
        if output.loss.get("reduction") == "sum":
            losses = stored.shape[1:] if output.targets == "label" else stored.shape[1:-1]
            loss *= rows * math.prod(losses)
        total += abs(output.loss_weight) * loss
    if sample_weight is not None:
        total *= float(np.abs(sample_weight).mean())
    return total


def far_above(first: float, guess: float | None, regularization: float | None) -> tuple[str, ...]:
    """What to tell of a first loss that is far above that of guessing; nothing where it is not.

    Args:
      first: loss of the first step.
      guess: that of guessing; None where it is not known.
      regularization: what regularizers add to the loss at the start; None where it is not known.
    """
    if not guess or regularization is None or first - regularization <= FAR * guess:
        return ()
    return (
        f"the first loss is {first:.4g}, that of guessing {guess + regularization:.3g}: the "
        "samples may be of another range than the model was made for (see --scale and --offset), "
        "or the targets of another range or order",
    )


def _of_output(output: Output, width: int, targets: npt.NDArray[Any]) -> float | None:
    if output.targets in ("label", "distribution"):
        return math.log(width) if width > 1 else None
    if output.targets == "binary":
        return math.log(2.0)
    values = targets.astype(np.float64)
    name = output.loss.get("name")
    if name == "mean_squared_error":
        return float(np.square(values).mean())
    if name == "mean_absolute_error":
        return float(np.abs(values).mean())
    if name == "huber":
        delta, size = float(output.loss.get("delta", 1.0)), np.abs(values)
        return float(np.where(size <= delta, size * size / 2, delta * (size - delta / 2)).mean())
    return None
