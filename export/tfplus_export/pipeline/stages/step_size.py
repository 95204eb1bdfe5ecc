"""Whether a step is of a size that this machine can export, told before it is converted.

Conversion and comparison with TensorFlow take minutes for a batch of millions, and end in the
converter's error or by the kernel's hand. The traced graph already has every shape.
"""

from __future__ import annotations

import math

from tfplus.errors import ExportError
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.graph import ASSIGNMENTS, PASS_THROUGH, Graph

# TFLite's operators count elements in a C int.
MOST_ELEMENTS = 2**31 - 1
_FLOAT_BYTES = 4
# At the least: TensorFlow keeps what its gradient needs while LiteRT holds the same step.
TRAINING_COPIES = 2
INFERENCE_COPIES = 1
# Batches are drawn in double precision, and several are kept.
_INPUT_COPIES = 8
_VIEWS = PASS_THROUGH | ASSIGNMENTS | {"ExpandDims", "ReadVariableOp", "Reshape", "Squeeze"}


def check(graph: Graph, option: str, copies: int, memory_bytes: int) -> None:
    """Checks the tensors of a traced pass.

    Args:
      graph: the pass.
      option: the one that chooses its batch size.
      copies: how many times tensors are held at least.
      memory_bytes: of this machine.

    Raises:
      ExportError: a tensor is too large for TFLite, or all of them for this machine.
    """
    made = {
        op: sum(_elements(t) for t in op.outputs)
        for op in graph.operations
        if op.type not in _VIEWS
    }
    given = sum(_elements(t) for t in graph.inputs.values())
    batch = graph.batch_size
    needed = (sum(made.values()) * copies + given * _INPUT_COPIES) * _FLOAT_BYTES
    largest = max(made, key=lambda op: made[op], default=None)
    most = batch * memory_bytes // max(needed, 1)
    if largest is not None and made[largest] > MOST_ELEMENTS:
        most = min(most, batch * MOST_ELEMENTS // made[largest])
        is_input = largest.type == "Placeholder"
        what = "the input" if is_input else f"a tensor of {graph.naming(largest)}"
        raise ExportError(
            f"{what} has {made[largest]} elements for {batch} samples, and TFLite counts at most "
            f"{MOST_ELEMENTS}: {_instead(option, most)}"
        )
    if needed > memory_bytes:
        raise ExportError(
            f"a step on {batch} samples needs at least {_gigabytes(needed)} to be compared with "
            f"TensorFlow, more than the {_gigabytes(memory_bytes)} of this machine: "
            f"{_instead(option, most)}"
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
