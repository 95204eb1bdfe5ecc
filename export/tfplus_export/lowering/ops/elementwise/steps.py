"""Abs, sign, and what is constant between its steps: floor, ceil, round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule, unary
from tfplus_export.tf_types import Op, Tensor

_LARGEST = float(np.finfo(np.float32).max)


def _sign(x: Tensor) -> Tensor:
    # SIGN is no operator that XNNPACK takes.
    return tf.maximum(tf.minimum(x * _LARGEST, 1.0), -1.0)


def _flat(forward: Callable[[Tensor], Tensor]) -> Rule:
    """The rule of a function whose slope is 0 wherever it has one."""

    def none(
        op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        return [None]

    return Rule(lambda op, inputs: forward(inputs[0]), none)


ABS = unary(tf.abs, lambda x, y, dy: dy * _sign(x))
SIGN = _flat(_sign)
FLOOR = _flat(tf.floor)
CEIL = _flat(tf.math.ceil)
ROUND = _flat(tf.round)
