"""Input normalization: the first operations behind an input, where they scale and shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import PASS_THROUGH, Graph


@dataclass(frozen=True)
class Affine:
    """y = scale·x + shift, in double precision, for one sample's elements or fewer by broadcast."""

    scale: np.ndarray
    shift: np.ndarray

    def before(self, y: np.ndarray) -> np.ndarray:
        """The x that y is made of."""
        return ((y - self.shift) / self.scale).astype(y.dtype)

    def then(self, op: Op, tensor: Tensor) -> Affine | None:
        """This and an operation on it; None where that does more than scale and shift by constants.

        Args:
          op: it takes the tensor.
          tensor: y.
        """
        if op.type in PASS_THROUGH:
            return self
        if op.type not in ("Add", "AddV2", "Sub", "Mul", "RealDiv"):
            return None
        first = op.inputs[0].name == tensor.name
        other = static_value(op.inputs[1 if first else 0])
        if other is None or op.outputs[0].shape != tensor.shape:
            return None
        value = np.asarray(other, np.float64)
        if op.type in ("Add", "AddV2"):
            return Affine(self.scale, self.shift + value)
        if op.type == "Sub":
            sign = 1.0 if first else -1.0
            return Affine(sign * self.scale, sign * (self.shift - value))
        if not value.all() or (op.type == "RealDiv" and not first):
            return None
        factor = value if op.type == "Mul" else 1.0 / value
        return Affine(self.scale * factor, self.shift * factor)


def normalization(graph: Graph, tensor: Tensor) -> Affine | None:
    """How the layers in front, such as Rescaling and Normalization, normalize an input.

    Args:
      graph: a traced pass.
      tensor: one of its inputs.

    Returns:
      All that is done to the input alone before anything else is; None for nothing.
    """
    return next(reversed(normalizations(graph, tensor)), None)


def normalizations(graph: Graph, tensor: Tensor) -> list[Affine]:
    """The normalization of an input after each of its first operations that scale or shift it.

    Args:
      graph: a traced pass.
      tensor: one of its inputs.
    """
    found: list[Affine] = []
    last = Affine(np.ones(1), np.zeros(1))
    while True:
        takers = [op for op in graph.operations if any(t.name == tensor.name for t in op.inputs)]
        following = last.then(takers[0], tensor) if len(takers) == 1 else None
        if following is None:
            return found
        if following is not last:
            found.append(following)
        last, tensor = following, takers[0].outputs[0]
