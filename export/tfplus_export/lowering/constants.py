"""Which replayed tensors are known at export, as those of frozen layers are."""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.tf_types import Tensor


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
        if not op.inputs and op.type != "Const":
            return False
        pending.extend(t.op for t in op.inputs)
    return True
