"""Operators that read one tensor twice get a copy of it, and every result keeps its bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from gpu_graph import RIGHT, compared, converted

from tfplus_export.conversion import flatbuffer
from tfplus_export.conversion.distinct_inputs import distinct
from tfplus_export.passes.ir import step_graph
from tfplus_export.targets import targets

Result = dict[str, Any]
REFUSED = targets.gpu_runtime().distinct_inputs
VALUES = np.random.default_rng(0).normal(size=(4, 6, 1)).astype(np.float32)


def variance_over_one_channel(x: Any) -> Result:
    # The converter takes the mean over one channel away.
    y = x * 2.0 + 1.0
    return {"y": tf.math.squared_difference(y, tf.reduce_mean(y, -1, keepdims=True)) + x}


def of_itself(x: Any) -> Result:
    y = x * 2.0 + 1.0
    return {"y": tf.divide(y, y) + tf.maximum(y, y), "given": tf.math.squared_difference(x, x) + y}


GRAPHS: tuple[Callable[..., Result], ...] = (variance_over_one_channel, of_itself)


def repeats(content: bytes) -> set[str]:
    """The operators that read a tensor twice."""
    operators = step_graph.read(content, "serving_default").operators
    return {o.name for o in operators if len(set(o.reads)) < len(o.reads)}


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_named_operator_reads_a_tensor_twice(graph: Callable[..., Result]) -> None:
    content = converted(graph, {"x": VALUES.shape})
    assert repeats(content) & REFUSED
    changed = distinct(content, REFUSED)
    assert not repeats(changed) & REFUSED
    before, after = (
        Interpreter(model_content=c).get_signature_runner() for c in (content, changed)
    )
    want = before(x=VALUES)
    for name, value in after(x=VALUES).items():
        np.testing.assert_array_equal(value, want[name])


def test_others_stay_as_they_are() -> None:
    content = converted(lambda x: {"y": tf.multiply(x, x) - x * 2.0}, {"x": (2, 3)})
    assert repeats(content) == {"MUL"}
    assert distinct(content, REFUSED) is content
    assert flatbuffer.operators(distinct(content, {"MUL"}))["RESHAPE"] == 1


@pytest.mark.slow
@pytest.mark.usefixtures("gpu_present")
@pytest.mark.parametrize("graph", GRAPHS)
def test_the_delegate_takes_what_it_refused(graph: Callable[..., Result]) -> None:
    content = distinct(converted(graph, {"x": VALUES.shape}), REFUSED)
    assert compared(content, {"x": VALUES}).state == RIGHT
