"""The lowerings of a convolution, and which shapes are likely to be fastest with which."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus_export.lowering.engine.rule import KernelVariants
from tfplus_export.lowering.ops.convolution.conv2d import COLUMNS, ROWS, ROWS_AT_ONCE
from tfplus_export.lowering.ops.convolution.toeplitz import TOEPLITZ
from tfplus_export.lowering.ops.convolution.winograd import winograd
from tfplus_export.tf_types import Op

# Below, transformations cost more than the products that they spare.
_FEWEST_CHANNELS = 32
# Up to here an operator makes full columns, see `conv2d`; beyond, several products over parts of
# them are faster than one.
_MOST_FOR_COLUMNS = 4


def _order(op: Op) -> Sequence[str]:
    _, height, width, _ = (int(d) for d in op.outputs[0].shape)
    channels, filters = (int(d) for d in op.inputs[1].shape[2:])
    if channels <= _MOST_FOR_COLUMNS:
        return ("columns", "rows", "toeplitz", "winograd4", "winograd2")
    if min(channels, filters) < _FEWEST_CHANNELS:
        return ("toeplitz", "rows", "columns", "winograd4", "winograd2")
    if min(height, width) > 4:
        return ("winograd4", "winograd2", "rows", "toeplitz", "columns")
    return ("winograd2", "rows", "toeplitz", "columns", "winograd4")


CONV2D = KernelVariants(
    {
        "winograd2": winograd(2),
        "winograd4": winograd(4),
        "toeplitz": TOEPLITZ,
        "columns": COLUMNS,
        "rows": ROWS,
        # The last is what accelerators take.
        "rows at once": ROWS_AT_ONCE,
    },
    _order,
)
