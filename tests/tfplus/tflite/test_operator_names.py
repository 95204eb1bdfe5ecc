"""Names of operators: which layer and phase each says."""

from __future__ import annotations

import pytest

from tfplus.tensors.slices import layer_of
from tfplus.tflite.operator_names import Owner, owner_of, scope_of


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("forward/conv1/BatchMatMulV2_11", Owner("forward", "conv1")),
        # What the converter merged: the first name is that of what is left.
        ("forward/conv1/Relu;forward/conv1/add_21", Owner("forward", "conv1")),
        ("update/adam/mul;forward/conv/add", Owner("update", "adam")),
        ("backward/attention>query/transpose", Owner("backward", "attention/query")),
        ("StatefulPartitionedCall_3:1", None),
        ("Variable_83", None),
        # A layer's own name may be that of a phase.
        ("loss/forward/sub", Owner("loss", "forward")),
        ("myforward/conv/add", None),
    ],
)
def test_a_name_says_phase_and_layer(name: str, owner: Owner | None) -> None:
    assert owner_of(name) == owner


@pytest.mark.parametrize("layer", ["conv1", "attention/query", "a.b-c", "task_3_logit"])
def test_a_layer_is_read_back_from_its_scope(layer: str) -> None:
    assert owner_of(f"{scope_of('backward', layer)}/mul") == Owner("backward", layer)


def test_characters_that_no_scope_takes_are_replaced() -> None:
    assert scope_of("forward", "first layer (å)") == "forward/first_layer____"


@pytest.mark.parametrize(
    ("variable", "layer"),
    [
        ("shared/conv1/kernel", "conv1"),
        ("shared/attention/query/kernel", "attention/query"),
        ("task/3/logit/bias", "task_3_logit"),
        ("optimizer/mean/shared/conv1/kernel", "conv1"),
        ("optimizer/mean/task/3/logit/bias", "task_3_logit"),
        ("optimizer/learning_rate", "optimizer"),
        ("random/state", "random"),
    ],
)
def test_a_variable_says_its_layer(variable: str, layer: str) -> None:
    assert layer_of(variable) == layer
