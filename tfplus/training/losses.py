"""The losses of a model on samples that it does not learn from, from what `infer` returns.

The exported step computes the same while it trains, with dropout and the statistics of its batch;
these are of `infer`, as those of Keras' `evaluate`. Names and parameters are Keras', as the
manifest holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import ArtifactError
from tfplus.model_file.manifest import Output

Array = npt.NDArray[np.float64]
# Keras' epsilon: probabilities are clipped to it before their logarithm is taken.
_EPSILON = 1e-7


def batch_loss(
    output: Output, predictions: Mapping[str, npt.NDArray[Any]], targets: npt.NDArray[Any]
) -> float:
    """The loss of one output for a batch, reduced as the model was compiled, unweighted.

    Args:
      output: of the model.
      predictions: what `infer` returned, without the rows of padding.
      targets: as `train` takes them; a label of −1, of a class that the model lacks, counts for
        nothing.

    Raises:
      ArtifactError: the manifest names a loss that is not known.
    """
    from_logits = bool(output.logits) or bool(output.loss.get("from_logits"))
    taken = predictions[output.logits or output.name].astype(np.float64)
    rows = taken.reshape(-1, taken.shape[-1])
    if output.targets == "label":
        labels = targets.reshape(-1)
        rows, labels = rows[labels >= 0], labels[labels >= 0]
        wanted = np.eye(rows.shape[1])[labels]
    else:
        wanted = targets.astype(np.float64).reshape(rows.shape)
    compute = _LOSSES.get(str(output.loss.get("name")))
    if compute is None:
        raise ArtifactError(
            f"output '{output.name}': the loss '{output.loss.get('name')}' is not known here; "
            f"expected one of {', '.join(_LOSSES)}: install the tfplus that exported the file"
        )
    losses = compute(rows, wanted, output.loss, from_logits)
    return float(losses.sum() if output.loss.get("reduction") == "sum" else _mean(losses))


def _mean(losses: Array) -> float:
    return float(losses.mean()) if losses.size else 0.0


def _sparse(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    # Keras makes logits of probabilities by their logarithm, and normalizes those again.
    return -(y * _log_softmax(z if from_logits else np.log(_clipped(z)))).sum(1)


def _categorical(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    y = _smoothed(y, loss, 1.0 / y.shape[1])
    return -(y * (_log_softmax(z) if from_logits else np.log(_clipped(_normalized(z))))).sum(1)


def _binary(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    return _binary_entropy(z, _smoothed(y, loss, 0.5), from_logits).mean(1)


def _binary_focal(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    y = _smoothed(y, loss, 0.5)
    p = 1.0 / (1.0 + np.exp(-z)) if from_logits else z
    losses = (y + p - 2.0 * y * p) ** loss["gamma"] * _binary_entropy(z, y, from_logits)
    if loss.get("apply_class_balancing"):
        losses *= y * (2.0 * loss["alpha"] - 1.0) + (1.0 - loss["alpha"])
    return losses.mean(1)


def _categorical_focal(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    y = _smoothed(y, loss, 1.0 / y.shape[1])
    p = _clipped(_normalized(np.exp(_log_softmax(z)) if from_logits else z))
    weight = y * np.asarray(loss["alpha"], np.float64)
    return -(weight * (1.0 - p) ** loss["gamma"] * np.log(p)).sum(1)


def _squared(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    return np.square(z - y).mean(1)


def _absolute(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    return np.abs(z - y).mean(1)


def _huber(z: Array, y: Array, loss: Mapping[str, Any], from_logits: bool) -> Array:
    error = z - y
    clipped = np.clip(error, -loss["delta"], loss["delta"])
    return (clipped * error - 0.5 * np.square(clipped)).mean(1)


_LOSSES: Mapping[str, Callable[[Array, Array, Mapping[str, Any], bool], Array]] = {
    "sparse_categorical_crossentropy": _sparse,
    "categorical_crossentropy": _categorical,
    "binary_crossentropy": _binary,
    "binary_focal_crossentropy": _binary_focal,
    "categorical_focal_crossentropy": _categorical_focal,
    "mean_squared_error": _squared,
    "mean_absolute_error": _absolute,
    "huber": _huber,
}


def _binary_entropy(z: Array, y: Array, from_logits: bool) -> Array:
    if from_logits:
        return np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))
    p = _clipped(z)
    return -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _normalized(p: Array) -> Array:
    return p / p.sum(1, keepdims=True)


def _clipped(p: Array) -> Array:
    return np.clip(p, _EPSILON, 1.0 - _EPSILON)


def _smoothed(y: Array, loss: Mapping[str, Any], level: float) -> Array:
    smoothing = float(loss.get("label_smoothing") or 0.0)
    return y * (1.0 - smoothing) + smoothing * level
