"""What a lowering rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfplus_export.tf_types import Op, Tensor

Forward = Callable[[Op, Sequence[Tensor]], Tensor]
Gradient = Callable[[Op, Sequence[Tensor], Tensor, Tensor, Sequence[bool]], list[Tensor | None]]


@dataclass(frozen=True)
class Rule:
    """How one operation runs, forward and backward, with TFLite builtin operators alone.

    Attributes:
      forward: (op, inputs) → output. `op` gives attributes and static shapes; inputs are the
        replayed tensors in the operation's own order.
      gradient: (op, inputs, output, dy, wanted) → one gradient for each input. `dy` has the shape
        of `output`; an input whose `wanted` is False needs none and gets None.
    """

    forward: Forward
    gradient: Gradient
