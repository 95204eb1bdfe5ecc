"""Which operator of the graph each of XNNPACK's operators belongs to.

XNNPACK builds its own operators from a partition's, in their order: mostly one for one, some with
another beside it (a transposition before a product, a clamp behind a sum), some with none (a
variable's handle). The profiler tells XNNPACK's by name and place. They are matched in order at the
least cost, as two sequences are aligned (Needleman & Wunsch, 1970).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

_END = "the end of the partition"
# Operator → how the names of what XNNPACK makes of it begin, the main one first.
_MADE_OF = MappingProxyType(
    {
        "ABS": ("Abs",),
        "ADD": ("Add", "Clamp"),
        "ASSIGN_VARIABLE": ("Copy",),
        "AVERAGE_POOL_2D": ("Average Pooling", "Clamp"),
        "BATCH_MATMUL": ("Batch Matrix Multiply", "Transpose"),
        "CEIL": ("Ceiling",),
        "CONCATENATION": ("Copy", "Concatenate"),
        "CONV_2D": ("Convolution", "Fully Connected", "Clamp"),
        "COS": ("Cosine",),
        "DEPTHWISE_CONV_2D": ("Convolution", "Clamp"),
        "DEPTH_TO_SPACE": ("Depth To Space",),
        "DEQUANTIZE": ("Convert",),
        "DIV": ("Divide", "Clamp"),
        "ELU": ("ELU",),
        "EXP": ("Exp",),
        "EXPAND_DIMS": ("Static Reshape", "Static Expand", "Copy"),
        "FLOOR": ("Floor",),
        "FULLY_CONNECTED": ("Fully Connected", "Dynamic Fully Connected", "Transpose", "Clamp"),
        "GELU": ("GELU",),
        "HARD_SWISH": ("HardSwish",),
        "LEAKY_RELU": ("Leaky ReLU",),
        "LOG": ("Log",),
        "LOGISTIC": ("Sigmoid",),
        "MAXIMUM": ("Maximum", "Clamp"),
        "MAX_POOL_2D": ("Max Pooling",),
        "MEAN": ("Mean",),
        "MINIMUM": ("Minimum", "Clamp"),
        "MUL": ("Multiply", "Square", "Clamp"),
        "NEG": ("Negate",),
        "PAD": ("Constant Pad", "Copy"),
        "PADV2": ("Constant Pad", "Copy"),
        "PRELU": ("PReLU",),
        "READ_VARIABLE": ("Copy",),
        "RELU": ("Clamp",),
        "RELU6": ("Clamp",),
        "RELU_N1_TO_1": ("Clamp",),
        "RELU_0_TO_1": ("Clamp",),
        "RESHAPE": ("Static Reshape", "Copy"),
        "RESIZE_BILINEAR": ("Resize Bilinear",),
        "ROUND": ("Bankers Rounding",),
        "RSQRT": ("Reciprocal Square Root",),
        "SIN": ("Sine",),
        "SLICE": ("Slice", "Static Slice", "Copy"),
        "SOFTMAX": ("Softmax",),
        "SPACE_TO_DEPTH": ("Space To Depth",),
        "SPLIT": ("Slice", "Even Split", "Copy"),
        "SQRT": ("Square Root",),
        "SQUARE": ("Square",),
        "SQUARED_DIFFERENCE": ("Squared Difference",),
        "SQUEEZE": ("Static Reshape", "Copy"),
        "STRIDED_SLICE": ("Slice", "Static Slice"),
        "SUB": ("Subtract", "Clamp"),
        "SUM": ("Sum",),
        "TANH": ("Tanh",),
        "TRANSPOSE": ("Transpose", "Copy"),
        _END: ("Copy", "Copy"),
        "TRANSPOSE_CONV": ("Deconvolution", "Convolution", "Clamp"),
    }
)
# Operators whose main one may come behind another: one that prepares inputs, or one of its kind.
_SEVERAL = frozenset({_END, "BATCH_MATMUL", "CONCATENATION", "FULLY_CONNECTED", "SPLIT"})
# An activation stands behind what it is fused with; but a bound may be one alone.
_CLAMP, _BOUNDS = "Clamp", frozenset({"MAXIMUM", "MINIMUM"})
# Operators that may leave nothing to run.
_SILENT = frozenset({_END, "ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE"})

# Variables that partitions share are copied wherever one of them is next needed.
_COPY, _COPIED = "Copy", 1.5
_FOREIGN, _UNHEARD, _SILENCE, _AGAIN, _FUSED, _SECOND_MAIN = 6.0, 2.0, 0.25, 0.1, 1.0, 3.0
# How far XNNPACK's operators may run ahead of the graph's, or behind.
_REACH = 512


def match(operators: Sequence[str], tags: Sequence[str]) -> list[int]:
    """For each of XNNPACK's operators, the place of the one that it belongs to.

    Args:
      operators: names of a partition's operators, in the order in which they run.
      tags: what the profiler calls XNNPACK's operators, in the order in which they ran.

    Returns:
      A place for each tag; `len(operators)` for what XNNPACK adds behind all of them: at the end of
      a partition it copies variables.
    """
    operators = [*operators, _END]
    kinds = {name: i for i, name in enumerate(dict.fromkeys(operators))}
    codes = np.array([kinds[name] for name in operators])
    silence = np.array([_SILENCE if name in _SILENT else _UNHEARD for name in operators])
    # What it costs that all operators before a place have nothing.
    before = np.concatenate([[0.0], np.cumsum(silence)])
    width = min(len(operators), 2 * _REACH)
    came_from = np.zeros((len(tags), width), np.int32)
    starts = np.zeros(len(tags), int)
    first: dict[str, npt.NDArray[np.float64]] = {}
    costs = np.zeros(0)
    for i, tag in enumerate(tags):
        if tag not in first:
            first[tag] = np.array([[_cost(name, tag), _again(name, tag)] for name in kinds])
        center = 0 if i == 0 else starts[i - 1] + int(np.argmin(costs))
        start = max(0, min(center - _REACH, len(operators) - width))
        start = max(start, starts[i - 1] if i else 0)
        starts[i] = start
        places = np.arange(start, start + width)
        fresh = first[tag][codes[places], 0]
        if i == 0:
            costs = before[places] + fresh
            continue
        last = starts[i - 1]
        # From an earlier place, with nothing for those between; or from the same once more.
        open_costs = costs - before[np.arange(last, last + width) + 1]
        best = np.minimum.accumulate(open_costs)
        # Where each of these minima was reached first.
        fell = np.where(open_costs < np.concatenate([[np.inf], best[:-1]]), np.arange(width), 0)
        where = np.maximum.accumulate(fell)
        index = places - 1 - last
        usable = index >= 0
        index = np.clip(index, 0, width - 1)
        moved = np.where(usable, best[index] + before[places] + fresh, np.inf)
        same = places - last
        stays = same < width
        same = np.clip(same, 0, width - 1)
        stayed = np.where(stays, costs[same] + first[tag][codes[places], 1], np.inf)
        costs = np.minimum(moved, stayed)
        came_from[i] = np.where(moved < stayed, last + where[index], last + same)
    if not tags:
        return []
    final = costs + before[-1] - before[np.arange(starts[-1], starts[-1] + width) + 1]
    found = [int(starts[-1] + np.argmin(final))]
    for i in range(len(tags) - 1, 0, -1):
        found.append(int(came_from[i, found[-1] - starts[i]]))
    return found[::-1]


def known_operators() -> frozenset[str]:
    """The graph's operators of which it is known what XNNPACK makes of them."""
    return frozenset(_MADE_OF) - {_END}


def belongs(operator: str | None, tag: str) -> bool:
    """Whether XNNPACK makes such an operator of one of the graph's; None for a partition's end."""
    return tag.startswith((*_MADE_OF.get(_END if operator is None else operator, ()), _COPY))


def _cost(operator: str, tag: str) -> float:
    made_of = _MADE_OF.get(operator, ())
    if tag.startswith(made_of[:1]):
        return _AGAIN if operator == _END else 0.0
    if not tag.startswith(made_of):
        return _FOREIGN
    return _FUSED if tag.startswith(_CLAMP) and operator not in _BOUNDS else _AGAIN


def _again(operator: str, tag: str) -> float:
    made_of = _MADE_OF.get(operator, ())
    if not tag.startswith(made_of):
        return _COPIED if tag.startswith(_COPY) else _FOREIGN
    again = not tag.startswith(made_of[:1]) or operator in _SEVERAL
    return _AGAIN if again else _SECOND_MAIN
