"""Which replayed tensors are constants of the file, as those of frozen layers are."""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.tf_types import Tensor

# How the placeholders are named whose values are written into the file as constants, later.
FIXED = "fixed_"


def is_constant(tensor: Tensor) -> bool:
    """Whether a replayed tensor is computed from constants alone, and so is one in the file."""
    if not tf.is_symbolic_tensor(tensor):
        return False
    seen: set[str] = set()
    pending = [tensor.op]
    while pending:
        op = pending.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if not op.inputs and op.type != "Const" and not op.name.startswith(FIXED):
            return False
        pending.extend(t.op for t in op.inputs)
    return True


def is_known(tensor: Tensor) -> bool:
    """Whether a constant has its value while the graph is made, not only in the file."""
    return tf.get_static_value(tensor) is not None
