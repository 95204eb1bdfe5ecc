"""The GPU delegate by itself: what it gets wrong, which the lowerings for it keep away from.

A test that fails here after an update of the runtime says that it got better or worse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from gpu_graph import NOT_TAKEN, RIGHT, WRONG, compared, converted

from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus.runtime.gpu import CompileError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gpu_present")]

Graph = Callable[..., dict[str, Any]]


def product(x: Any, y: Any, **options: bool) -> Any:
    return tf.raw_ops.BatchMatMulV2(x=x, y=y, **options)


def depthwise(x: Any, w: Any, stride: int) -> Any:
    return tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], "SAME")


TABLE = tf.constant(np.arange(36, dtype=np.float32).reshape(4, 9))
ONES = tf.constant(np.ones((1, 4, 3), np.float32))
CASES: dict[str, tuple[Graph, dict[str, tuple[int, ...]], str]] = {
    "a PAD of four dimensions": (
        lambda x: {"y": tf.pad(x * 2.0, [[0, 0], [1, 2], [0, 0], [0, 0]])},
        {"x": (2, 3, 4, 5)},
        RIGHT,
    ),
    "a PAD of three dimensions": (
        lambda x: {"y": tf.pad(x * 2.0, [[0, 0], [1, 2], [0, 0]])},
        {"x": (3, 4, 5)},
        WRONG,
    ),
    "a PAD of two dimensions": (
        lambda x: {"y": tf.pad(x * 2.0, [[1, 2], [0, 0]])},
        {"x": (4, 5)},
        NOT_TAKEN,
    ),
    "a product with a constant right side": (
        lambda x: {"y": product(x * 2.0, ONES)},
        {"x": (1, 5, 4)},
        RIGHT,
    ),
    "a product with a constant left side": (
        lambda x: {"y": product(ONES, x * 2.0)},
        {"x": (1, 3, 5)},
        NOT_TAKEN,
    ),
    "a difference of a tensor from itself": (
        lambda x: {"y": tf.raw_ops.Sub(x=x * 2.0, y=x * 2.0)},
        {"x": (2, 3)},
        NOT_TAKEN,
    ),
    "a squared difference of a tensor from itself": (
        lambda x: {"y": tf.math.squared_difference(x * 2.0, x * 2.0)},
        {"x": (2, 3)},
        NOT_TAKEN,
    ),
    "a product of a tensor with itself": (
        lambda x: {"y": tf.multiply(x * 2.0, x * 2.0)},
        {"x": (2, 3)},
        RIGHT,
    ),
    "a sum with a constant for each row": (
        lambda x: {"y": x * 2.0 + TABLE},
        {"x": (4, 9)},
        WRONG,
    ),
    "a sum with a constant for each row of each image": (
        lambda x: {"y": x * 2.0 + TABLE},
        {"x": (2, 4, 9)},
        RIGHT,
    ),
    "a product of rank 2 that becomes an image": (
        lambda x, w: {
            "y": tf.reshape(tf.matmul(tf.reshape(x * 2.0, [24, 5]), w * 2.0), [2, 3, 4, 6])
        },
        {"x": (2, 3, 4, 5), "w": (5, 6)},
        WRONG,
    ),
    "a product of rank 3 that becomes an image": (
        lambda x, w: {
            "y": tf.reshape(product(tf.reshape(x * 2.0, [1, 24, 5]), w * 2.0), [2, 3, 4, 6])
        },
        {"x": (2, 3, 4, 5), "w": (1, 5, 6)},
        RIGHT,
    ),
    "a depthwise filter that multiplies": (
        lambda x, w: {"y": depthwise(x, w * 2.0, 1)},
        {"x": (2, 6, 5, 4), "w": (3, 3, 4, 2)},
        "ends the process (SIGSEGV)",
    ),
    "a depthwise filter": (
        lambda x, w: {"y": depthwise(x, w * 2.0, 2)},
        {"x": (2, 6, 5, 4), "w": (3, 3, 4, 1)},
        RIGHT,
    ),
    "SCATTER_ND": (
        lambda x: {"y": tf.scatter_nd(tf.constant([[1], [2], [1]]), x * 2.0, [4, 5])},
        {"x": (3, 5)},
        NOT_TAKEN,
    ),
    "SPACE_TO_BATCH_ND": (
        lambda x: {"y": tf.space_to_batch_nd(x * 2.0, [2, 2], [[0, 0], [0, 0]])},
        {"x": (2, 4, 6, 3)},
        NOT_TAKEN,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_delegate_is_as_it_was(name: str) -> None:
    graph, shapes, expected = CASES[name]
    rng = np.random.default_rng(0)
    feed = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    found = compared(converted(graph, shapes), feed)
    assert found.state == expected, f"{name} is {found.state} ({found.error}), was {expected}"


def test_a_graph_too_large_for_the_device_is_told_from_a_missing_device() -> None:
    # 1.6 GB in one tensor: SwiftShader takes 1 GiB, and real devices less.
    content = converted(lambda a, b: {"y": product(a, b)}, {"a": (1, 20000, 1), "b": (1, 1, 20000)})
    step = Step({"a": np.zeros((1, 20000, 1), np.float32)}, {})
    with pytest.raises(CompileError, match="no room for the step: Requested allocation size"):
        accelerator_process.run(content, [step], ("loss",))
