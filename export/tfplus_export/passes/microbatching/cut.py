"""How a tensor is cut into parts of equal extent, one for each microbatch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """The axis that a tensor is cut along.

    A reshape may have put other axes in front of the batch into the same one: such an axis is
    `outer` groups, and a part has the same share of each.

    Attributes:
      axis: index.
      outer: groups.
    """

    axis: int
    outer: int = 1

    def extent(self, shape: Sequence[int]) -> int:
        """Of a group, along the axis."""
        return shape[self.axis] // self.outer

    def fits(self, shape: Sequence[int], parts: int) -> bool:
        """Whether a tensor of this shape has so many equal parts."""
        return shape[self.axis] % (self.outer * parts) == 0

    def part(self, shape: Sequence[int], parts: int) -> tuple[int, ...]:
        """Shape of one of so many parts."""
        return (*shape[: self.axis], shape[self.axis] // parts, *shape[self.axis + 1 :])

    def flat(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """The tensor as [before, extent, behind], cut along the second axis."""
        before = math.prod(shape[: self.axis]) * self.outer
        return before, self.extent(shape), math.prod(shape[self.axis + 1 :])


def reshaped(cut: Cut, shape: Sequence[int], target: Sequence[int], unit: int) -> Cut | None:
    """The cut of a tensor whose parts are the reshaped parts of another one.

    Args:
      cut: of the other one.
      shape: of the other one.
      target: of the tensor.
      unit: a group's extent must be a multiple of this, so that what divides it divides the group.

    Returns:
      None where no axis of the target holds the parts.
    """
    before = math.prod(shape[: cut.axis]) * cut.outer
    in_front = 1
    for axis, extent in enumerate(target):
        outer, rest = divmod(before, in_front)
        if not rest and outer and not extent % outer and not (extent // outer) % unit and extent:
            return Cut(axis, outer)
        in_front *= extent
    return None
