"""Folding scales and shifts into a product leaves what it computes as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfplus_export.tf_types import Tensor
from tfplus_export.variants import scales

Body = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def matmul(x: Tensor, w: Tensor) -> Tensor:
    return tf.matmul(x, w)


def turned(x: Tensor, w: Tensor) -> Tensor:
    return tf.matmul(x, tf.transpose(w), transpose_b=True)


def conv(x: Tensor, w: Tensor) -> Tensor:
    image = tf.nn.conv2d(tf.reshape(x, [2, 1, 1, 3]), tf.reshape(w, [1, 1, 3, 3]), 1, "VALID")
    return tf.reshape(image, [2, 3])


def depthwise(x: Tensor, w: Tensor) -> Tensor:
    filters = tf.reshape(w[0], [1, 1, 3, 1])
    image = tf.reshape(x, [2, 1, 1, 3])
    return tf.reshape(tf.nn.depthwise_conv2d(image, filters, [1] * 4, "VALID"), [2, 3])


def twice(y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    scaled = y * a
    return scaled * tf.nn.relu(scaled - b)


# What is computed of x, a filter, and a, b and c, which have one number a channel; and how many
# multiplications and sums of data are left of it.
CASES: dict[str, tuple[Body, int]] = {
    "before": (lambda x, w, a, b, c: matmul((x - b) * a + c, w), 1),
    "before, transposed": (lambda x, w, a, b, c: turned((x + b) * a - c, w), 1),
    "before, from the other side": (lambda x, w, a, b, c: matmul(b - a * x, w), 2),
    "behind": (lambda x, w, a, b, c: (matmul(x, w) - b) * a + c, 1),
    "behind, transposed": (lambda x, w, a, b, c: a * turned(x, w) - b, 1),
    "behind, from the other side": (lambda x, w, a, b, c: c - matmul(x, w) * a, 1),
    "conv": (lambda x, w, a, b, c: (conv(x, w) - b) * a * c, 1),
    "depthwise": (lambda x, w, a, b, c: depthwise(x, w) * a - b, 1),
    "both": (lambda x, w, a, b, c: matmul(x * a, w) * b - c, 1),
    "one number": (lambda x, w, a, b, c: matmul(x, w) * a[:1] - b[0], 1),
    "used twice": (lambda x, w, a, b, c: twice(matmul(x, w) - c, a, b), 3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_folded_graph_computes_the_same(name: str) -> None:
    body, left = CASES[name]
    rng = np.random.default_rng(0)
    shapes = [(2, 3), (3, 3), (3,), (3,), (3,)]
    with tf.Graph().as_default() as graph:
        given = [tf.compat.v1.placeholder(tf.float32, shape) for shape in shapes]
        output = tf.identity(body(*given))
    fed = {t.name: rng.uniform(0.5, 2.0, s) for t, s in zip(given, shapes, strict=True)}

    def run() -> np.ndarray:
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(output.name, fed)

    wanted = run()
    scales.fold(graph, given[1:])
    np.testing.assert_allclose(run(), wanted, rtol=1e-5, atol=1e-5)
    fixed = scales.fixed_operations(graph, given[1:])
    pending, found = [output.op], set()
    while pending:
        op = pending.pop()
        if op.name not in found:
            found.add(op.name)
            pending += [t.op for t in op.inputs]
    kinds = [graph.get_operation_by_name(n).type for n in found if n not in fixed]
    assert sum(kind in ("Add", "AddV2", "Mul", "Sub") for kind in kinds) == left
