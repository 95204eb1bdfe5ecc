"""Runs a step's operators on microbatches.

An operator on much data writes it to memory, and the next one reads it from there. On one
microbatch after the other, what one operator makes is still in the processor's cache when the next
one reads it. As in Huang et al., "GPipe", 2019, section 2.3, gradients of microbatches are added
up; but here what needs the whole batch, such as the moments of batch normalization, takes all of
it: the step computes what it did, and only the order of sums is another.
"""

from __future__ import annotations

from dataclasses import replace

from tfplus_export.passes.ir.aliases import overwritten
from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.microbatching import sizes as sizes_of
from tfplus_export.passes.microbatching.assembly import Assembly
from tfplus_export.passes.microbatching.cut import Cut
from tfplus_export.passes.microbatching.numbers import numbers, splits
from tfplus_export.passes.microbatching.order import microbatch_by_microbatch
from tfplus_export.passes.microbatching.splits import Split
from tfplus_export.passes.rematerialization.plans import Plan

# The input that says what a part makes: a shape, or the extents to take.
_EXTENTS = {"RESHAPE": 1, "SLICE": 2, "STRIDED_SLICE": 2}


def in_microbatches(plan: Plan, batch: int, sizes: sizes_of.Sizes) -> Plan:
    """The plan whose operators on much data run on microbatches.

    Args:
      plan: of a training step.
      batch: samples in a step.
      sizes: of the microbatches.
    """
    ways, cuts = splits(plan.graph, batch)
    each = numbers(plan.graph, ways, cuts, batch, sizes)
    growing = _Microbatching(plan, batch, cuts)
    for operator, source, how, number in zip(
        plan.graph.operators, plan.sources, ways, each, strict=True
    ):
        growing.add(operator, source, how, number)
    found = growing.plan()
    if overwritten(found.graph) > overwritten(plan.graph):
        return plan
    return found


class _Microbatching:
    """A plan whose operators come to run on microbatches, one after the other."""

    def __init__(self, plan: Plan, batch: int, cuts: dict[int, Cut]) -> None:
        self._before = plan
        self._batch = batch
        self._graph: StepGraph = plan.graph
        self._assembly = Assembly(plan)
        # How each tensor can be cut, whether it is or not.
        self._cuts = cuts
        # In how many microbatches each tensor is made.
        self._made_in: dict[int, int] = {}
        self._parts: dict[tuple[int, Cut, int], list[int]] = {}
        self._whole: dict[int, int] = {}

    def add(self, operator: Operator, source: int, how: Split | None, number: int) -> None:
        """Adds an operator of the plan, on so many microbatches."""
        if how is None or number == 1:
            reads = tuple(self._all_of(t) if t >= 0 else t for t in operator.reads)
            self._assembly.place(replace(operator, reads=reads), source, None)
        else:
            self._on_microbatches(operator, source, how, number)

    def plan(self) -> Plan:
        """The plan that came of it."""
        for t in self._graph.kept:
            self._all_of(t)
        placed = microbatch_by_microbatch(self._assembly.placed, self._assembly.tensors)
        graph = replace(
            self._graph,
            operators=tuple(p.operator for p in placed),
            tensors=tuple(self._assembly.tensors),
            kept=tuple(self._all_of(t) for t in self._graph.kept),
        )
        return Plan(
            graph,
            tuple(p.source for p in placed),
            tuple(self._assembly.origins),
            self._before.again_bytes,
        )

    def _on_microbatches(self, operator: Operator, source: int, how: Split, number: int) -> None:
        (result,) = operator.writes
        inputs = [
            self._parts_of(t, cut, number) if cut else [self._all_of(t) if t >= 0 else t] * number
            for t, cut in zip(operator.reads, how.reads, strict=True)
        ]
        shape = self._graph.tensors[result].shape
        made = [
            self._assembly.like(result, how.made.part(shape, number) if how.made else shape)
            for _ in range(number)
        ]
        for part, (*reads, write) in enumerate(zip(*inputs, made, strict=True)):
            if operator.name in _EXTENTS:
                reads[_EXTENTS[operator.name]] = self._assembly.constant(
                    self._extents(operator, write)
                )
            one = replace(operator, reads=tuple(reads), writes=(write,))
            self._assembly.place(one, source, self._end(part, number))
        if how.made is not None:
            self._made_in[result] = number
            self._parts[result, how.made, number] = made
        else:
            self._add_up(result, made)

    def _extents(self, operator: Operator, write: int) -> tuple[int, ...]:
        shape = self._assembly.tensors[write].shape
        if operator.name != "STRIDED_SLICE":
            return shape
        # Ends of the other axes stay.
        ends = self._graph.tensors[operator.reads[2]].integers or ()
        whole = self._graph.tensors[operator.writes[0]].shape
        return tuple(
            extent if extent != before else end
            for extent, before, end in zip(shape, whole, ends, strict=True)
        )

    def _add_up(self, result: int, terms: list[int]) -> None:
        total = terms[0]
        for part, term in enumerate(terms[1:], start=1):
            last = part == len(terms) - 1
            target = (
                result
                if last
                else self._assembly.like(result, self._assembly.tensors[result].shape)
            )
            end = self._end(part, len(terms))
            self._assembly.place(Operator("ADD", (total, term), (target,)), -1, end)
            total = target

    def _end(self, part: int, number: int) -> int:
        return (part + 1) * self._batch // number

    def _all_of(self, tensor: int) -> int:
        """The tensor in one piece."""
        number = self._made_in.get(tensor)
        if number is None:
            return tensor
        if tensor not in self._whole:
            cut = self._cuts[tensor]
            parts = self._parts[tensor, cut, number]
            self._whole[tensor] = self._assembly.join(parts, cut, None, tensor)
        return self._whole[tensor]

    def _parts_of(self, tensor: int, cut: Cut, number: int) -> list[int]:
        """The tensor in so many parts."""
        key = tensor, cut, number
        if key in self._parts:
            return self._parts[key]
        have = self._made_in.get(tensor, 1) if self._cuts.get(tensor) == cut else 1
        if have > number:
            fine = self._parts[tensor, cut, have]
            each = have // number
            found = [
                self._assembly.join(fine[i * each :][:each], cut, self._end(i, number))
                for i in range(number)
            ]
        else:
            coarse = self._parts[tensor, cut, have] if have > 1 else [self._all_of(tensor)]
            each = number // have
            found = [
                self._assembly.cut(t, cut, j, each, self._end(i * each + j, number))
                for i, t in enumerate(coarse)
                for j in range(each)
            ]
        self._parts[key] = found
        return found
