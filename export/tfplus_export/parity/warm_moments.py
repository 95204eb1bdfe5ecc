"""Warm second moments: a training state from which steps of two devices can be compared."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tfplus.model_file.state_ranges import kind_of
from tfplus.tensors.slices import Tensor, Tensors, layer_of, weight_of

# In place of a layer: no layer's name is empty.
_MODEL = ""


def warm(
    before: Tensors, after: Tensors, kinds: Collection[str], rounding: Collection[str] = ()
) -> dict[str, Tensor]:
    """The state before a step, with second moments of the size of each layer's.

    An optimizer that starts from zeros divides each gradient by itself: what is left is its sign.
    Of a gradient that is rounding noise alone, such as that of a bias in front of a batch
    normalization, that is noise as large as any update, on every device another one.

    Args:
      before: every variable.
      after: every variable one step later.
      kinds: of slots that hold second moments, see `Optimizer.second_moments`.
      rounding: weights of which the whole layer may have no other gradient.

    Returns:
      `before`, but for second moments: full of the mean that is largest in their layer after the
      step, and those of `rounding` of the one that is largest in the model.
    """
    moments = [name for name in before if kind_of(name) in kinds]
    sizes: dict[tuple[str, str], float] = {}
    for name in moments:
        size = float(after[name].astype(np.float64).mean())
        for layer in (layer_of(name), _MODEL):
            place = kind_of(name), layer
            sizes[place] = max(size, sizes.get(place, 0.0))

    def full(name: str) -> Tensor:
        layer = _MODEL if weight_of(name) in rounding else layer_of(name)
        return np.full_like(before[name], sizes[kind_of(name), layer])

    return dict(before) | {name: full(name) for name in moments}
