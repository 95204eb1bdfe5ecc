"""Linear maps along one axis: Resizing, and UpSampling2D with interpolation.

Whatever an operation does along an axis, where that is linear and known at export, is a constant
matrix; its gradient is the product with the transposed matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.tf_types import Op, Tensor

# 4 MB in the file.
_MOST_ELEMENTS = 1 << 20


def along(x: Tensor, axis: int, matrix: np.ndarray) -> Tensor:
    """Maps an axis of extent K by a matrix [M, K], to extent M."""
    if matrix.shape[0] == matrix.shape[1] and (matrix == np.eye(len(matrix))).all():
        return x
    if matrix.size > _MOST_ELEMENTS:
        raise ExportError(f"expected at most {_MOST_ELEMENTS} weights, got {list(matrix.shape)}")
    last = len(x.shape) - 1
    order = [i for i in range(last + 1) if i != axis] + [axis]
    x = tf.transpose(x, order) if axis != last else x
    flat = tf.reshape(x, [1, -1, matrix.shape[1]])
    mapped = batch_product(flat, tf.constant(np.ascontiguousarray(matrix.T)[None], x.dtype))
    mapped = tf.reshape(mapped, [*x.shape[:-1], matrix.shape[0]])
    back = [int(i) for i in np.argsort(order)]
    return tf.transpose(mapped, back) if axis != last else mapped


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    for axis, matrix in _matrices(op).items():
        x = along(x, axis, matrix)
    return x


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    for axis, matrix in _matrices(op).items():
        dy = along(dy, axis, matrix.T)
    return [dy, None]


def _matrices(op: Op) -> dict[int, np.ndarray]:
    """What the operation does to an image of one column and to one of one row."""
    _, height, width, _ = (int(d) for d in op.inputs[0].shape)
    _, out_height, out_width, _ = (int(d) for d in op.outputs[0].shape)
    function = getattr(tf.raw_ops, op.type)
    options = {
        name: op.get_attr(name)
        for name in ("align_corners", "half_pixel_centers")
        if name in op.node_def.attr
    }
    maps: dict[int, np.ndarray] = {}
    with tf.init_scope():
        for axis, size, out in ((1, height, out_height), (2, width, out_width)):
            # Channel k is 1 in entry k alone.
            basis = tf.reshape(tf.eye(size), [1, size, 1, size])
            mapped = function(images=basis, size=[out, 1], **options)
            maps[axis] = np.reshape(mapped, [out, size]).astype(np.float32)
    return maps


RESIZE = Rule(_forward, _gradient)
