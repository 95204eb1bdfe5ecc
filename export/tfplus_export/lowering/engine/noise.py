"""Uniform noise from a counter: Dropout, SpatialDropout and AlphaDropout on the device.

TFLite's own RANDOM_UNIFORM cannot be seeded on the device, and forgets where it was when the
interpreter goes. This noise is a function of a state that is a variable like any other: saved in
checkpoints, restored from them, and set from outside to seed it. The same state gives the same
noise everywhere, to the last bit: every number is an integer below 2²⁴, which float32 holds
exactly, and MUL, SUB, FLOOR and BATCH_MATMUL are operators that XNNPACK and GPUs take.

Modulo the prime p = 3623, element (row r, column c) is

  k = <g(A_r·(1, state)), C_c>³,   g(x) = x³ in each of 4 components,   u = (k + ½) / p,

with a constant matrix A_r for each row and a constant vector C_c for each column, of the layer's
own. An inner product with random vectors makes any two columns pairwise independent (Carter &
Wegman, "Universal Classes of Hash Functions", 1979); cubing permutes the residues, since 3 does not
divide p − 1, and hides that the products have rank 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.tf_types import Tensor

# float32(1/p)·x, rounded down, is x/p rounded down for every integer |x| ≤ 2²⁴; a test tries all.
PRIME = 3623
# The variable that the noise is a function of: seed, seed // p, step, step // p, each modulo p.
STATE = "random/state"
WORDS = 4
_COMPONENTS = 4
CENTRE = PRIME // 2
# Constants of a layer grow with its columns; its rows cost a few products each.
_MOST_COLUMNS = 4096


def initial(seed: int) -> np.ndarray:
    """The state of step 0, float32 [4]."""
    return np.array([seed % PRIME, seed // PRIME % PRIME, 0, 0], np.float32)


def advanced(state: Tensor) -> Tensor:
    """The state of the next step; after p² = 13 126 129 steps it is the first again."""
    low = state[2:3] + 1.0
    carry = tf.floor(low * (1.0 / PRIME))
    return tf.concat([state[:2], _residue(low), _residue(state[3:] + carry)], 0)


def uniform(state: Tensor, layer: int, shape: Sequence[int]) -> Tensor:
    """Noise for one random operation of the step.

    Args:
      state: float32 [4].
      layer: the operation's place among the random operations of the model.
      shape: batch first. A sample's noise does not depend on how many come after it.

    Returns:
      float32 of that shape, each (k + ½) / p for an integer k of 0 … p − 1.
    """
    batch = int(shape[0])
    columns = columns_of(math.prod(shape[1:]))
    rows = batch * math.prod(shape[1:]) // columns
    words = _residue(state) - float(CENTRE)
    # A word of one takes the constant part along.
    ones = tf.concat([tf.ones([1], tf.float32), words], 0)
    linear = batch_product(
        tf.reshape(ones, [1, 1, WORDS + 1]), tf.constant(row_constants(layer, rows)[None])
    )
    keys = _cube(_residue(tf.reshape(linear, [1, rows, _COMPONENTS]))) - float(CENTRE)
    products = batch_product(keys, tf.constant(column_constants(layer, columns)[None]))
    k = _cube(_residue(products))
    return tf.reshape(k * (1.0 / PRIME) + 0.5 / PRIME, list(shape))


def _residue(x: Tensor) -> Tensor:
    """The residue of x modulo p, 0 … p − 1, for integers of at most 2²⁴."""
    return x - tf.floor(x * float(np.float32(1 / PRIME))) * float(PRIME)


def _cube(x: Tensor) -> Tensor:
    """The residue of x³ modulo p, for x of 0 … p − 1."""
    return _residue(_residue(x * x) * x)


def columns_of(elements: int) -> int:
    """How many columns the noise of a sample has: its largest divisor that is not too many."""
    if elements <= _MOST_COLUMNS:
        return elements
    best = max(d for d in range(1, _MOST_COLUMNS + 1) if elements % d == 0)
    return best if best >= _MOST_COLUMNS // 64 else elements


def row_constants(layer: int, rows: int) -> np.ndarray:
    """Float32 [words + 1, rows · components], drawn row after row."""
    drawn = _draw(2 * layer, rows * (WORDS + 1) * _COMPONENTS)
    per_row = drawn.reshape(rows, WORDS + 1, _COMPONENTS)
    return np.ascontiguousarray(per_row.transpose(1, 0, 2).reshape(WORDS + 1, -1))


def column_constants(layer: int, columns: int) -> np.ndarray:
    """Float32 [components, columns]."""
    return _draw(2 * layer + 1, columns * _COMPONENTS).reshape(_COMPONENTS, columns)


def _draw(stream: int, count: int) -> np.ndarray:
    # MT19937 as numpy's RandomState draws it is the same in every version.
    drawn = np.random.RandomState(stream).randint(-CENTRE, CENTRE + 1, count)
    return drawn.astype(np.float32)
