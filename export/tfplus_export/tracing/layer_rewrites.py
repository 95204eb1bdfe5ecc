"""Layers that are traced in another form than Keras writes them: the same values, fewer dimensions.

Keras' GroupNormalization takes the groups apart into a dimension of their own, five for an image,
which no runtime takes; height and width made one leave four. The comparison at export runs Keras'
own form against this one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from typing import Any

import keras
from keras import ops


def _group_normalization(layer: Any, x: Any) -> Any:
    shape = tuple(x.shape)
    if layer.axis not in (-1, len(shape) - 1) or len(shape) < 4:
        return _KERAS[keras.layers.GroupNormalization](layer, x)
    inner = shape[-1] // layer.groups
    parts: Any = ops.reshape(x, (-1, math.prod(shape[1:-1]), layer.groups, inner))
    moments: Any = ops.moments(parts, (1, 3), keepdims=True)
    mean, variance = moments
    factor: Any = ops.rsqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * ops.reshape(layer.gamma, (1, 1, layer.groups, inner))
    offset = -mean * factor
    if layer.center:
        offset = offset + ops.reshape(layer.beta, (1, 1, layer.groups, inner))
    return ops.reshape(parts * factor + offset, (-1, *shape[1:]))


_OURS: dict[Any, Any] = {keras.layers.GroupNormalization: _group_normalization}
_KERAS: dict[Any, Any] = {layer: layer.call for layer in _OURS}


@contextlib.contextmanager
def rewritten_layers() -> Generator[None]:
    """Layers called within are traced in the form that has rules."""
    for layer, call in _OURS.items():
        layer.call = call
    try:
        yield
    finally:
        for layer, call in _KERAS.items():
            layer.call = call
