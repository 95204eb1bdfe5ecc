"""Convolutions whose filter is a constant: by Winograd's form where a batch has many tiles."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tfplus_export.lowering.engine.rule import choose
from tfplus_export.lowering.kernels.constants import FIXED
from tfplus_export.lowering.ops.convolution.convolutions import CONV2D

CHANNELS, FILTERS = 32, 40


def converted(shape: tuple[int, int, int], *, known: bool = True) -> tuple[bytes, np.ndarray]:
    """The lowering that a convolution gets, as a flatbuffer, and its filter."""
    weight = np.random.default_rng(1).standard_normal((3, 3, CHANNELS, FILTERS)).astype(np.float32)

    @tf.function(autograph=False)
    def lowered(x: tf.Tensor) -> tf.Tensor:
        given = tf.constant(weight)
        if not known:
            given = tf.compat.v1.placeholder(tf.float32, weight.shape, name=f"{FIXED}0")
        op = tf.nn.conv2d(x, given, 1, "SAME").op
        rule, inputs = choose({"Conv2D": CONV2D}, op)
        return rule.forward(op, inputs)

    taken = tf.TensorSpec((*shape, CHANNELS), tf.float32)
    if not known:
        graph = lowered.get_concrete_function(taken).graph
        return ",".join(op.type for op in graph.get_operations()).encode(), weight
    concrete = lowered.get_concrete_function(taken)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert(), weight


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 29, 22), (1, 40, 30)])
def test_many_tiles_are_transformed_and_the_file_keeps_the_filter(
    shape: tuple[int, int, int],
) -> None:
    content, weight = converted(shape)
    # Transformed in the file it would be 36 ninths of its size.
    assert len(content) < 2 * weight.nbytes
    x = np.random.default_rng(0).standard_normal((*shape, CHANNELS)).astype(np.float32)
    run = Interpreter(model_content=content)
    operators = {op["op_name"] for op in run._get_ops_details()}
    assert "BATCH_MATMUL" in operators
    assert "CONV_2D" not in operators
    run.allocate_tensors()
    run.set_tensor(run.get_input_details()[0]["index"], x)
    run.invoke()
    found = run.get_tensor(run.get_output_details()[0]["index"])
    wanted = tf.nn.conv2d(x.astype(np.float64), weight.astype(np.float64), 1, "SAME").numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-5 * np.abs(wanted).max())


def test_few_tiles_are_left_to_the_operator() -> None:
    content, _ = converted((1, 16, 16))
    operators = {op["op_name"] for op in Interpreter(model_content=content)._get_ops_details()}
    assert operators == {"CONV_2D"}


def test_a_filter_that_is_filled_in_later_is_left_to_the_operator() -> None:
    operators, _ = converted((4, 16, 16), known=False)
    assert b"BatchMatMul" not in operators
