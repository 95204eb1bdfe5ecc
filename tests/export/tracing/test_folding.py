"""What is computed at export, once, and what is not."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfplus_export.tracing.folding import fold, static_value


def test_what_depends_on_nothing_is_known_and_what_is_drawn_is_not() -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [2])
        known = tf.cumsum(tf.sqrt(tf.constant([4.0, 9.0])))
        drawn = tf.random.uniform([2])
        outputs = [x + known, x + drawn]
    found = fold(graph, graph.get_operations())
    assert drawn.name not in found
    assert static_value(drawn) is None
    np.testing.assert_allclose(found[known.name], [2.0, 5.0])
    assert all(static_value(output) is None for output in outputs)
