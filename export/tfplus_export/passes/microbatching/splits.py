"""How an operator splits: what it makes of parts of its inputs is a part or a term of its result.

All are identities of arithmetic; none knows what the batch is. An operator without a rule runs on
whole tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tfplus.tflite.operator_kinds import ELEMENTWISE
from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.microbatching.cut import Cut, reshaped

Cuts = Sequence[Cut | None]

# Elementwise, too, of other types than float32.
_LOGICAL = frozenset(
    {
        *("CAST", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND"),
        *("LOGICAL_NOT", "LOGICAL_OR", "NOT_EQUAL", "SELECT_V2", "SIGN"),
    }
)


@dataclass(frozen=True)
class Split:
    """How an operator runs on microbatches.

    Attributes:
      reads: for each input how it is cut; None for one that every part takes whole.
      made: how the result is cut; None where it is the sum of what the parts make.
    """

    reads: tuple[Cut | None, ...]
    made: Cut | None


@dataclass(frozen=True)
class Case:
    """An operator and what is known of it.

    Attributes:
      operator: the operator.
      shapes: of its inputs; empty for one that is left out.
      made: shape of its first output.
      cuts: of its inputs, as they come.
      integers: elements of its inputs that are small constants of integers.
      unit: what the extent of a cut must be a multiple of.
    """

    operator: Operator
    shapes: tuple[tuple[int, ...], ...]
    made: tuple[int, ...]
    cuts: tuple[Cut | None, ...]
    integers: tuple[tuple[int, ...] | None, ...]
    unit: int


def split_of(graph: StepGraph, operator: Operator, cuts: Cuts, unit: int) -> Split | None:
    """How an operator runs on parts of its inputs; None where it needs them whole.

    Args:
      graph: the step.
      operator: one of its operators.
      cuts: how each of its inputs is cut; None for one that is whole.
      unit: what the extent of every cut is a multiple of.
    """
    rule = _RULES.get(operator.name)
    if rule is None or not any(cuts) or len(operator.writes) != 1:
        return None
    tensors = [graph.tensors[t] if t >= 0 else None for t in operator.reads]
    return rule(
        Case(
            operator,
            tuple(t.shape if t else () for t in tensors),
            graph.tensors[operator.writes[0]].shape,
            tuple(cuts),
            tuple(t.integers if t else None for t in tensors),
            unit,
        )
    )


def _elementwise(case: Case) -> Split | None:
    rank = len(case.made)
    made = next(
        Cut(cut.axis + rank - len(shape), cut.outer)
        for cut, shape in zip(case.cuts, case.shapes, strict=True)
        if cut
    )
    reads: list[Cut | None] = []
    for shape in case.shapes:
        axis = made.axis - rank + len(shape)
        # An input that is repeated along the axis goes whole to every part.
        cut = axis >= 0 and shape[axis] == case.made[made.axis] > 1
        reads.append(Cut(axis, made.outer) if cut else None)
    return Split(tuple(reads), made)


def _select(case: Case) -> Split | None:
    # A condition of another shape chooses rows.
    return _elementwise(case) if set(case.shapes) == {case.made} else None


def _with_parameters(cut: Cut | None, case: Case, made: Cut | None) -> Split | None:
    """The first input is cut, the others are parameters."""
    if cut is None:
        return None
    return Split((cut, *[None] * (len(case.shapes) - 1)), made)


def _reshape(case: Case) -> Split | None:
    cut = case.cuts[0]
    made = reshaped(cut, case.shapes[0], case.made, case.unit) if cut else None
    return _with_parameters(cut, case, made) if made else None


def _transpose(case: Case) -> Split | None:
    cut, order = case.cuts[0], case.integers[1]
    if cut is None or order is None:
        return None
    return _with_parameters(cut, case, Cut(order.index(cut.axis), cut.outer))


def _slice(case: Case) -> Split | None:
    cut = case.cuts[0]
    if cut is None or case.integers[1] is None or not _is_kept(case, cut):
        return None
    return _with_parameters(cut, case, cut)


def _strided_slice(case: Case) -> Split | None:
    cut, strides = case.cuts[0], case.integers[3]
    if cut is None or strides is None or case.operator.changes_rank:
        return None
    # All of the axis, whatever the masks say of its ends.
    if not _is_kept(case, cut) or strides[cut.axis] != 1 or case.integers[2] is None:
        return None
    return _with_parameters(cut, case, cut)


def _pad(case: Case) -> Split | None:
    cut = case.cuts[0]
    return _with_parameters(cut, case, cut) if cut and _is_kept(case, cut) else None


def _is_kept(case: Case, cut: Cut) -> bool:
    return case.made[cut.axis] == case.shapes[0][cut.axis]


def _concatenation(case: Case) -> Split | None:
    rank = len(case.made)
    cut = next(c for c in case.cuts if c)
    return None if case.operator.axis % rank == cut.axis else Split((cut,) * len(case.cuts), cut)


def _sum(case: Case) -> Split | None:
    return _reduction(case, adds=True)


def _other_reduction(case: Case) -> Split | None:
    return _reduction(case, adds=False)


def _reduction(case: Case, *, adds: bool) -> Split | None:
    cut, axes = case.cuts[0], case.integers[1]
    if cut is None or axes is None:
        return None
    reduced = {a % len(case.shapes[0]) for a in axes}
    if cut.axis in reduced:
        return _with_parameters(cut, case, None) if adds else None
    gone = 0 if case.operator.keeps_dims else sum(a < cut.axis for a in reduced)
    return _with_parameters(cut, case, Cut(cut.axis - gone, cut.outer))


def _product(case: Case) -> Split | None:
    left, right = case.cuts
    a, b = case.shapes
    operator = case.operator
    rows, summed = (-1, -2) if operator.transposes_left else (-2, -1)
    terms, columns = (-1, -2) if operator.transposes_right else (-2, -1)
    if left:
        other, made = _factor(left, a, b, rows, summed, terms, case.made, -2)
        return Split((left, other), made)
    if right:
        other, made = _factor(right, b, a, columns, terms, summed, case.made, -1)
        return Split((other, right), made)
    return None


def _factor(
    cut: Cut,
    shape: Sequence[int],
    other: Sequence[int],
    free: int,
    summed: int,
    summed_in_other: int,
    made: Sequence[int],
    free_in_made: int,
) -> tuple[Cut | None, Cut | None]:
    """How the other factor and the product are cut where one factor is; axes count from the end."""
    place = cut.axis - len(shape)
    if place == free:
        return None, Cut(len(made) + free_in_made, cut.outer)
    if place == summed:
        return Cut(len(other) + summed_in_other, cut.outer), None
    axis = place + len(other)
    is_repeated = axis < 0 or other[axis] == 1
    return None if is_repeated else Cut(axis, cut.outer), Cut(place + len(made), cut.outer)


def _dense(case: Case) -> Split | None:
    cut, keeps_rows = case.cuts[0], case.shapes[0][:-1] == case.made[:-1]
    return _with_parameters(cut, case, cut) if cut and keeps_rows and _is_row(case, cut) else None


def _is_row(case: Case, cut: Cut) -> bool:
    return cut.axis < len(case.made) - 1


def _images(case: Case) -> Split | None:
    cut = case.cuts[0]
    return _with_parameters(cut, case, cut) if cut == Cut(0) else None


def _along_last(case: Case) -> Split | None:
    cut = case.cuts[0]
    return _with_parameters(cut, case, cut) if cut and _is_row(case, cut) else None


_RULES: MappingProxyType[str, Callable[[Case], Split | None]] = MappingProxyType(
    dict.fromkeys(ELEMENTWISE | _LOGICAL, _elementwise)
    | dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _images)
    | dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR"), _images)
    | dict.fromkeys(("MEAN", "REDUCE_MAX", "REDUCE_MIN"), _other_reduction)
    | dict.fromkeys(("LOG_SOFTMAX", "SOFTMAX"), _along_last)
    | {
        "BATCH_MATMUL": _product,
        "CONCATENATION": _concatenation,
        "FULLY_CONNECTED": _dense,
        "PAD": _pad,
        "RESHAPE": _reshape,
        "SELECT": _select,
        "SLICE": _slice,
        "STRIDED_SLICE": _strided_slice,
        "SUM": _sum,
        "TRANSPOSE": _transpose,
    }
)
