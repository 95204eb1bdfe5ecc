"""The lowerings of a depthwise convolution, and which is likely to be fastest for which filter."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus_export.lowering.engine.rule import KernelVariants
from tfplus_export.lowering.ops.convolution.depthwise import OPERATOR
from tfplus_export.lowering.ops.convolution.depthwise_taps import TAPS
from tfplus_export.tf_types import Op

# With more, a pass over the image for each costs more than a cut through the step.
_MOST_TAPS = 9


def _order(op: Op) -> Sequence[str]:
    height, width = (int(d) for d in op.inputs[1].shape[:2])
    # A single tap would multiply the image itself under another shape, in whose place TFLite's own
    # kernels write the product, see `passes.ir.aliases`.
    return ("taps", "operator") if 1 < height * width <= _MOST_TAPS else ("operator", "taps")


DEPTHWISE_CONV2D = KernelVariants({"taps": TAPS, "operator": OPERATOR}, _order)
