"""What lets branches that trained apart answer on one scale.

A device compares the classes that it knows and no others, so that nothing holds its logits to those
of another device. A scale and an offset for each class, fitted on a few samples of all classes, put
that right: vector scaling of Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural
networks" (ICML 2017).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tfplus.decoupling.plan import Plan
from tfplus.decoupling.recalibration import Correction
from tfplus.decoupling.statistics import Floats
from tfplus.tensors.slices import Tensor

_STEPS = 100
_ENOUGH = 1e-9


def fit(logits: npt.NDArray[np.floating], places: npt.NDArray[np.integer]) -> Correction:
    """Scales and offsets with which the samples' classes are most likely under a softmax.

    Minimizes the cross-entropy, summed over samples, plus half the squares of scale − 1 and of the
    offset, which decide where the samples leave it open. That is convex; Newton's steps, halved
    where they lead up.

    Args:
      logits: finite, [samples, classes].
      places: index of the class of each, [samples].

    Returns:
      Scale and offset of each class's logit.
    """
    values = np.asarray(logits, np.float64)
    truth = np.eye(values.shape[1])[places]
    scale, shift = np.ones(values.shape[1]), np.zeros(values.shape[1])
    cost = _cost(values, truth, scale, shift)
    for _ in range(_STEPS):
        slope, curvature = _derivatives(values, truth, scale, shift)
        step = np.linalg.solve(curvature, slope)
        gain = float(slope @ step)
        if gain < _ENOUGH:
            break
        part = 1.0
        while True:
            ahead = scale - part * step[: len(scale)], shift - part * step[len(scale) :]
            reached = _cost(values, truth, *ahead)
            if reached <= cost - part * gain / 4 or part < _ENOUGH:
                break
            part /= 2
        if reached >= cost:
            break
        (scale, shift), cost = ahead, reached
    return Correction(scale, shift)


def applied(plan: Plan, weights: Mapping[str, Tensor], found: Correction) -> dict[str, Tensor]:
    """The weights with each class's logit scaled and shifted: its last kernel and bias change.

    Args:
      plan: of the weights.
      weights: slice name → array, of the whole model.
      found: of the classes in the plan's order.
    """
    changed = dict(weights)
    for place, label in enumerate(plan.classes):
        kernel, bias = (f"task/{label}/{plan.classifier}/{part}" for part in ("kernel", "bias"))
        scale, shift = found.scale[place], found.shift[place]
        for name, value in (
            (kernel, np.asarray(weights[kernel]) * scale),
            (bias, np.asarray(weights[bias]) * scale + shift),
        ):
            changed[name] = value.astype(np.asarray(weights[name]).dtype)
    return changed


def _log_softmax(values: Floats) -> Floats:
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _cost(values: Floats, truth: Floats, scale: Floats, shift: Floats) -> float:
    likely = float((truth * _log_softmax(values * scale + shift)).sum())
    return -likely + (float(((scale - 1) ** 2).sum()) + float((shift**2).sum())) / 2


def _derivatives(
    values: Floats, truth: Floats, scale: Floats, shift: Floats
) -> tuple[Floats, Floats]:
    """Gradient [2 classes] and Hessian [2 classes, 2 classes]; scales first, then offsets."""
    found = np.exp(_log_softmax(values * scale + shift))
    beyond = found - truth
    slope = np.concatenate([
        (values * beyond).sum(axis=0) + scale - 1, beyond.sum(axis=0) + shift
    ])  # fmt: skip
    weighed = values * found
    scales = np.diag((values * weighed).sum(axis=0)) - weighed.T @ weighed
    both = np.diag(weighed.sum(axis=0)) - weighed.T @ found
    shifts = np.diag(found.sum(axis=0)) - found.T @ found
    return slope, np.block([[scales, both], [both.T, shifts]]) + np.eye(len(slope))
