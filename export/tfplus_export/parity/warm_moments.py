"""A training state from which steps of two devices can be compared one by one."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tfplus.tensors.slices import OPTIMIZER, Tensor, Tensors, layer_of, weight_of

# What optimizers call the means of squares that they divide by: `optimizer/<kind>/<weight>`.
_SQUARES = frozenset({"square", "largest_square"})
# In place of a layer: no layer's name is empty.
_MODEL = ""


def settled(before: Tensors, after: Tensors, rounding: Collection[str] = ()) -> dict[str, Tensor]:
    """The state before a step, with means of squares of the size of each layer's.

    An optimizer that starts from zeros divides each gradient by itself: what is left is its sign.
    Of a gradient that is rounding noise alone, such as that of a bias in front of a batch
    normalization, that is noise as large as any update, on every device another one.

    Args:
      before: every variable.
      after: every variable one step later.
      rounding: weights of which the whole layer may have no other gradient.

    Returns:
      `before`, but for means of squares: full of the mean that is largest in their layer after the
      step, and those of `rounding` of the one that is largest in the model.
    """
    sizes: dict[tuple[str, str], float] = {}
    for name in before:
        if _is_square(name):
            size = float(after[name].astype(np.float64).mean())
            for place in (_place(name), (_place(name)[0], _MODEL)):
                sizes[place] = max(size, sizes.get(place, 0.0))

    def size_of(name: str) -> float:
        kind, layer = _place(name)
        return sizes[kind, _MODEL if weight_of(name) in rounding else layer]

    return {
        name: np.full_like(value, size_of(name)) if _is_square(name) else value
        for name, value in before.items()
    }


def _is_square(name: str) -> bool:
    first, _, rest = name.partition("/")
    return first == OPTIMIZER and rest.partition("/")[0] in _SQUARES


def _place(name: str) -> tuple[str, str]:
    """The kind of mean, and the layer of the weight that it is kept for."""
    return name.split("/")[1], layer_of(name)
