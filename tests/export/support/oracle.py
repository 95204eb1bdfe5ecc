"""TensorFlow's own gradients, as the judge of the rules."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.replay import replay
from tfplus_export.lowering.engine.rule import Rules
from tfplus_export.lowering.table import RULES
from tfplus_export.tracing.graph import trace


def both(
    model: keras.Model, x: np.ndarray, dy_seed: int = 1, rules: Rules = RULES
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Output, gradients of every trainable variable and updates: by the rules, and by TensorFlow.

    Updates are the values of variables that the pass itself assigns, such as moving averages. The
    gradients are those of sum(output * dy) for one random dy.
    """
    graph = trace(model, x.shape[0], training=True)
    weights = {i: tf.constant(np.asarray(v)) for i, v in enumerate(model.variables)}
    trainable = [i for i, v in enumerate(model.variables) if v.trainable]
    (name,) = graph.inputs
    (output,) = graph.outputs.values()
    tape = replay(graph, rules, {name: tf.constant(x)}, weights)
    with tf.GradientTape() as reference:
        want = model(x, training=True)
        dy = np.random.default_rng(dy_seed).normal(size=want.shape).astype(np.float32)
        total = tf.reduce_sum(want * dy)
    expected = reference.gradient(total, [model.variables[i].value for i in trainable])
    got = tape.gradients({output.name: tf.constant(dy)}, trainable)
    changed = [i for i, v in enumerate(model.variables) if np.any(weights[i] != np.asarray(v))]
    assert set(changed) <= set(tape.updates)
    updated = sorted(tape.updates)
    return (
        [
            tape.values[output.name].numpy(),
            *(got[i].numpy() for i in trainable),
            *(tape.updates[i].numpy() for i in updated),
        ],
        [
            np.asarray(want),
            *(np.asarray(tf.convert_to_tensor(g)) for g in expected),
            *(np.asarray(model.variables[i]) for i in updated),
        ],
    )


def assert_equal(
    model: keras.Model, x: np.ndarray, tolerance: float = 2e-5, rules: Rules = RULES
) -> None:
    """Asserts that rules and TensorFlow agree, relative to the largest element of each array."""
    got, want = both(model, x, rules=rules)
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        scale = max(float(np.max(np.abs(w))), 1e-6)
        np.testing.assert_allclose(g / scale, w / scale, atol=tolerance)
