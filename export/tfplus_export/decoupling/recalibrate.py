"""Putting back the mean and deviation that each filter had, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tfplus.decoupling.recalibration import Correction, correction
from tfplus.decoupling.statistics import Moments
from tfplus_export.decoupling.activations import Progress, moments_of
from tfplus_export.decoupling.branches import Filters, branch_name
from tfplus_export.decoupling.samples import Samples
from tfplus_export.decoupling.structure.tail import Tail


def recalibrate(
    model: keras.Model,
    tail: Tail,
    labels: Sequence[int],
    filters: Filters,
    before: Mapping[str, Moments],
    samples: Samples,
    progress: Progress,
) -> None:
    """Changes the branches' weights in place, from the first decoupled layer to the logits.

    Each layer is measured behind those that were already put right.

    Args:
      model: decoupled.
      tail: of the original.
      labels: of each class.
      filters: of every decoupled layer.
      before: layer → moments in the original, before its activation.
      samples: of all classes.
      progress: told which layer is measured.

    Raises:
      DataError: an activation is NaN or infinite.
    """
    last = tail.head.operation.name
    for name in (*tail.decoupled, last):
        progress(f"recalibrating the branches' layer {name}")
        parts = [branch_name(label, tail.measured(name)) for label in labels]
        now = moments_of(model, parts, samples)
        normalization = tail.normalization(name) if name != last else None
        for place, part in enumerate(parts):
            own = filters[name][place] if name in filters else np.asarray([place])
            found = correction(
                now[part].mean, now[part].deviation, before[name].mean[own],
                before[name].deviation[own],
            )  # fmt: skip
            layer = model.get_layer(part)
            if isinstance(layer, layers.GroupNormalization):
                _correct_own(layer, found)
                continue
            after = None
            if normalization is not None:
                after = model.get_layer(branch_name(labels[place], normalization.name))
            _correct(layer, after, found)


def _correct_own(normalization: Any, found: Correction) -> None:
    gamma, beta = (np.asarray(v) for v in normalization.get_weights())
    normalization.set_weights([gamma * found.scale, beta * found.scale + found.shift])


def _correct(layer: Any, normalization: Any | None, found: Correction) -> None:
    values = [np.asarray(v) for v in layer.get_weights()]
    # Of a separable convolution the last kernel makes the filters.
    kernel = len(values) - 1 - bool(layer.use_bias)
    values[kernel] = (values[kernel] * found.scale).astype(values[kernel].dtype)
    if layer.use_bias:
        values[-1] = (values[-1] * found.scale + found.shift).astype(values[-1].dtype)
    elif normalization is not None:
        mean = normalization.moving_mean
        mean.assign(np.asarray(mean) - found.shift.astype(np.float32))
    layer.set_weights(values)
