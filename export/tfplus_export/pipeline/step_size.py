"""Whether a step is of a size that this machine can export, told before it is converted.

Conversion and comparison with TensorFlow take minutes for a batch of millions, and end in the
converter's error or by the kernel's hand. The traced graph already has every shape.
"""

from __future__ import annotations

import math

from tfplus.errors import ExportError
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.graph import ASSIGNMENTS, PASS_THROUGH, Graph

# TFLite's operators count elements in a C int.
MOST_ELEMENTS = 2**31 - 1
_FLOAT_BYTES = 4
# TensorFlow keeps what its gradient needs while LiteRT holds the same step.
TRAINING_COPIES = 2
INFERENCE_COPIES = 1
_VIEWS = PASS_THROUGH | ASSIGNMENTS | {"ExpandDims", "ReadVariableOp", "Reshape", "Squeeze"}


def check(graph: Graph, option: str, copies: int, memory_bytes: int) -> None:
    """Checks the tensors of a traced pass.

    Args:
      graph: the pass.
      option: the one that chooses its batch size.
      copies: how many times its tensors are held at least.
      memory_bytes: of this machine.

    Raises:
      ExportError: a tensor is too large for TFLite, or all of them for this machine.
    """
    batch, total = graph.batch_size, 0
    for op in graph.operations:
        made = 0 if op.type in _VIEWS else sum(_elements(t) for t in op.outputs)
        if made > MOST_ELEMENTS:
            raise ExportError(_too_large(graph, op, option, made))
        total += made
    needed = total * _FLOAT_BYTES * copies
    if needed > memory_bytes:
        raise ExportError(
            f"a step on {batch} samples needs at least {_gigabytes(needed)} to be compared with "
            f"TensorFlow, more than the {_gigabytes(memory_bytes)} of this machine: "
            f"{_instead(option, batch * memory_bytes // needed)}"
        )


def _too_large(graph: Graph, op: Op, option: str, made: int) -> str:
    return (
        f"{graph.naming(op)} makes a tensor of {made} elements for {graph.batch_size} samples, and "
        f"TFLite counts at most {MOST_ELEMENTS}: "
        f"{_instead(option, graph.batch_size * MOST_ELEMENTS // made)}"
    )


def _instead(option: str, most: int) -> str:
    if not most:
        return "expected a smaller input or model"
    rounding = 10 ** max(len(str(most)) - 2, 0)
    return f"expected {option} of at most {most // rounding * rounding}"


def _elements(tensor: Tensor) -> int:
    known = tensor.shape.is_fully_defined()
    return math.prod(int(d) for d in tensor.shape) if known else 0


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
