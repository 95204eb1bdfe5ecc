"""How far float32 determines a model's loss and gradients at all, told by TensorFlow's own.

In a deep net some pre-activation is always so near to the corner of a ReLU that rounding decides on
which side it falls, and batch statistics of few values carry that to every layer below. Two float32
computations cannot agree better than each does with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfplus_export.update_error import layer_rounding, update_error

# Weights move by this share of themselves, about what rounding does to a layer's sums.
MOVE = 2 * float(np.finfo(np.float32).eps)


Gradients = Callable[[], tuple[float, Sequence[np.ndarray | None]]]


@dataclass(frozen=True)
class OwnError:
    """Largest relative changes where every weight moves by about a rounding.

    Attributes:
      loss: of the loss.
      gradients: name of a variable → of its gradient, in the 2-norm, beyond rounding alone.
    """

    loss: float
    gradients: dict[str, float]

    def of(self, name: str) -> float:
        """That of a variable, or of what the optimizer keeps for it, which is named by it."""
        return max((e for w, e in self.gradients.items() if name.endswith(w)), default=0.0)

    def larger(self, other: OwnError) -> OwnError:
        """The larger of two measurements, for each variable."""
        names = self.gradients.keys() | other.gradients.keys()
        both = (self.gradients, other.gradients)
        return OwnError(
            max(self.loss, other.loss),
            {n: max(found.get(n, 0.0) for found in both) for n in names},
        )


def own_error(
    batches: Sequence[Gradients], variables: Mapping[str, Any], rng: np.random.Generator
) -> OwnError:
    """Moves every weight by about a rounding, once for each batch, and puts it back.

    Args:
      batches: for each of some batches, TensorFlow's loss and gradients, in the order of the
        variables.
      variables: name → Keras variable.
      rng: draws the moves.
    """
    worst = dict.fromkeys(variables, 0.0)
    worst_loss = 0.0
    for gradients in batches:
        kept = {name: np.array(v.numpy()) for name, v in variables.items()}
        loss, plain = _named(variables, gradients())
        for name, variable in variables.items():
            move = 1 + MOVE * rng.standard_normal(kept[name].shape, np.float32)
            variable.assign(kept[name] * move.astype(np.float32))
        moved_loss, moved = _named(variables, gradients())
        for name, variable in variables.items():
            variable.assign(kept[name])
        worst_loss = max(worst_loss, abs(moved_loss - loss) / max(abs(loss), 1e-6))
        zeros = {name: np.zeros_like(g) for name, g in plain.items()}
        rounding = layer_rounding(zeros, plain, list(plain))
        for name, gradient in plain.items():
            change = update_error(zeros[name], gradient, moved[name], rounding[name])
            worst[name] = max(worst[name], change)
    return OwnError(worst_loss, worst)


def _named(
    variables: Mapping[str, Any], found: tuple[float, Sequence[np.ndarray | None]]
) -> tuple[float, dict[str, np.ndarray]]:
    loss, gradients = found
    pairs = zip(variables, gradients, strict=True)
    return loss, {name: np.asarray(g) for name, g in pairs if g is not None}
