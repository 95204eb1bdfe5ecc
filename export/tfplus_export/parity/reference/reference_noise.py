"""The step's noise for the TensorFlow model that the exported file is compared with.

TensorFlow draws other random numbers than the step does. While the reference is traced, its
generator is replaced by the same function of the same state, in integers.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.noise import (
    CENTRE,
    PRIME,
    column_constants,
    columns_of,
    initial,
    row_constants,
)
from tfplus_export.tf_types import Tensor


class ReferenceNoise:
    """A state, int32 [4], and the noise that is drawn from it.

    Args:
      shapes: of what each random operation draws for a whole batch, in the order of their places.
    """

    def __init__(self, shapes: Sequence[Sequence[int]]) -> None:
        self._shapes = [[int(d) for d in shape] for shape in shapes]
        self._state: Any = tf.Variable(tf.constant(initial(0), tf.int32), trainable=False)

    def state(self) -> np.ndarray:
        """As the exported model has it, float32 [4]."""
        return np.asarray(self._state, np.float32)

    def put(self, state: np.ndarray) -> None:
        """Goes back to a state, float32 [4]."""
        self._state.assign(state.astype(np.int32))

    def advance(self) -> None:
        """Goes on to the next step."""
        low_seed, high_seed, low, high = (int(v) for v in np.asarray(self._state))
        step = (low + 1 + PRIME * high) % PRIME**2
        self._state.assign([low_seed, high_seed, step % PRIME, step // PRIME])

    @contextlib.contextmanager
    def drawn(self) -> Generator[None]:
        """Whatever asks TensorFlow for uniform numbers within gets this noise.

        Raises:
          ExportError: TensorFlow draws in another way than the supported versions do.
        """
        # A module of TensorFlow's own, through which all of its stateless numbers are drawn.
        from tensorflow.python.ops import gen_stateless_random_ops_v2 as drawing

        place = itertools.count()
        original: Any = getattr(drawing, "stateless_random_uniform_v2", None)
        if original is None:
            raise ExportError(
                f"TensorFlow {tf.__version__} draws random numbers in a way that is not known, so "
                "dropout cannot be compared: expected TensorFlow 2.18 to 2.22"
            )

        def uniform(shape: Any, *arguments: Any, **keywords: Any) -> Tensor:
            noise = self._uniform(layer := next(place))
            # A short batch has the noise of a long one's first rows.
            return tf.slice(noise, [0] * len(self._shapes[layer]), shape)

        drawing.stateless_random_uniform_v2 = uniform
        try:
            yield
        finally:
            drawing.stateless_random_uniform_v2 = original

    def _uniform(self, layer: int) -> Tensor:
        shape = self._shapes[layer]
        per_sample = math.prod(shape[1:])
        columns = columns_of(per_sample)
        rows = shape[0] * per_sample // columns
        of_rows = row_constants(layer, rows).astype(np.int32).reshape(5, rows, 4)
        words = tf.math.floormod(self._state, PRIME) - CENTRE
        linear = of_rows[0] + tf.reduce_sum(of_rows[1:] * words[:, None, None], 0)
        keys = _cubed(tf.math.floormod(linear, PRIME)) - CENTRE
        products = tf.linalg.matmul(keys, column_constants(layer, columns).astype(np.int32))
        k = _cubed(tf.math.floormod(products, PRIME))
        return tf.reshape((tf.cast(k, tf.float32) + 0.5) / PRIME, shape)


def _cubed(x: Tensor) -> Tensor:
    return tf.math.floormod(tf.math.floormod(x * x, PRIME) * x, PRIME)
