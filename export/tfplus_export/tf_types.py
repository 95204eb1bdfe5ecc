"""Names for TensorFlow's types, which ships no usable annotations."""

from __future__ import annotations

from typing import Any, TypeAlias

# A symbolic tf.Tensor with a static shape.
Tensor: TypeAlias = Any
# A tf.Operation.
Op: TypeAlias = Any
