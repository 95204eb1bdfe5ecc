"""The graph of a step on microbatches as it grows: new tensors, and what cuts and joins them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tfplus.tflite.xnnpack import MOST_JOINED
from tfplus_export.passes.ir.step_graph import Operator, Tensor
from tfplus_export.passes.microbatching.cut import Cut
from tfplus_export.passes.microbatching.order import Placed
from tfplus_export.passes.rematerialization.plans import Plan


class Assembly:
    """A growing graph.

    Attributes:
      tensors: those of the plan, then the new ones.
      origins: of each tensor, see `Plan`.
      placed: the operators so far.
    """

    def __init__(self, plan: Plan) -> None:
        self.tensors = list(plan.graph.tensors)
        self.origins = list(plan.origins)
        self.placed: list[Placed] = []
        self._constants: dict[tuple[int, ...], int] = {}
        self._flat: dict[tuple[int, tuple[int, int, int]], int] = {}

    def join(
        self, parts: Sequence[int], cut: Cut, end: int | None, result: int | None = None
    ) -> int:
        """Puts parts one behind the other.

        Args:
          parts: tensors of one shape.
          cut: how they are cut.
          end: see `Placed`.
          result: the tensor to make; None for a new one.
        """
        shape = self.tensors[parts[0]].shape
        joined = (*shape[: cut.axis], shape[cut.axis] * len(parts), *shape[cut.axis + 1 :])
        tensors, axis = list(parts), cut.axis
        if cut.outer > 1:
            flat = cut.flat(shape)
            tensors = [self._reshape(t, flat, end) for t in tensors]
            axis = 1
        while len(tensors) > 1:
            few = len(tensors) <= MOST_JOINED
            last = few and cut.outer == 1 and result is not None
            tensors = [
                self._concatenate(tensors[i:][:MOST_JOINED], axis, end, result if last else None)
                for i in range(0, len(tensors), MOST_JOINED)
            ]
        (whole,) = tensors
        return whole if cut.outer == 1 else self._reshape(whole, joined, end, result)

    def _concatenate(
        self, parts: Sequence[int], axis: int, end: int | None, result: int | None
    ) -> int:
        if len(parts) == 1:
            return parts[0]
        shapes = [self.tensors[p].shape for p in parts]
        extent = sum(s[axis] for s in shapes)
        shape = (*shapes[0][:axis], extent, *shapes[0][axis + 1 :])
        made = self.like(parts[0], shape) if result is None else result
        self.place(Operator("CONCATENATION", tuple(parts), (made,), axis=axis), -1, end)
        return made

    def cut(self, tensor: int, cut: Cut, part: int, number: int, end: int) -> int:
        """Takes one of so many parts of a tensor; `end` as in `Placed`."""
        shape = self.tensors[tensor].shape
        source, axis, extents = tensor, cut.axis, shape
        if cut.outer > 1:
            extents, axis = cut.flat(shape), 1
            source = self._flattened(tensor, extents, end)
        size = extents[axis] // number
        of_part = (*extents[:axis], size, *extents[axis + 1 :])
        begin = tuple(part * size if i == axis else 0 for i in range(len(extents)))
        made = self.like(source, of_part)
        reads = source, self.constant(begin), self.constant(of_part)
        self.place(Operator("SLICE", reads, (made,)), -1, end)
        return made if cut.outer == 1 else self._reshape(made, cut.part(shape, number), end)

    def _flattened(self, tensor: int, shape: tuple[int, int, int], end: int | None) -> int:
        key = tensor, shape
        if key not in self._flat:
            self._flat[key] = self._reshape(tensor, shape, end)
        return self._flat[key]

    def _reshape(
        self, tensor: int, shape: Sequence[int], end: int | None, result: int | None = None
    ) -> int:
        made = self.like(tensor, shape) if result is None else result
        reads = tensor, self.constant(shape)
        self.place(Operator("RESHAPE", reads, (made,)), -1, end)
        return made

    def like(self, tensor: int, shape: Iterable[int]) -> int:
        """A new tensor of a tensor's type and origin."""
        like = replace(self.tensors[tensor], shape=tuple(shape), is_constant=False, integers=None)
        self.tensors.append(like)
        self.origins.append(self.origins[tensor])
        return len(self.tensors) - 1

    def constant(self, values: Sequence[int]) -> int:
        """A parameter of operators; equal ones are one tensor."""
        key = tuple(values)
        if key not in self._constants:
            self._constants[key] = len(self.tensors)
            self.tensors.append(Tensor((len(key),), 4, False, True, key))
            self.origins.append(-1)
        return self._constants[key]

    def place(self, operator: Operator, source: int, end: int | None) -> None:
        """Adds an operator; see `Placed`."""
        self.placed.append(Placed(operator, source, end))
