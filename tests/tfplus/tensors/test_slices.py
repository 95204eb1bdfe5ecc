"""Naming, choosing and averaging of slices, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfplus.errors import TensorError
from tfplus.tensors.slices import (
    Contribution,
    Tensor,
    average,
    check_against,
    schema_hash,
    select,
    slice_name,
    task_of,
    weight_of,
)

NAMES = ["shared/a/kernel", "shared/ab/kernel", "task/1/a/kernel", "task/10/a/kernel"]


@pytest.mark.parametrize(
    ("layer", "tensor", "name", "task"),
    [
        ("conv1", "kernel", "shared/conv1/kernel", None),
        ("task_3_conv", "kernel", "task/3/conv/kernel", "3"),
        ("task_3_conv_2", "bias", "task/3/conv_2/bias", "3"),
        ("task_yes-no_head", "bias", "task/yes-no/head/bias", "yes-no"),
        ("task_3", "bias", "shared/task_3/bias", None),
        ("multitask_3_x", "bias", "shared/multitask_3_x/bias", None),
    ],
)
def test_names(layer: str, tensor: str, name: str, task: str | None) -> None:
    assert slice_name(layer, tensor) == name
    assert task_of(name) == task


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("optimizer/mean/shared/a/kernel", "shared/a/kernel"),
        ("optimizer/square/task/1/a/b/kernel", "task/1/a/b/kernel"),
        ("optimizer/learning_rate", "optimizer/learning_rate"),
        ("shared/optimizer/mean/a", "shared/optimizer/mean/a"),
    ],
)
def test_what_an_optimizer_keeps_is_for_a_weight(name: str, weight: str) -> None:
    assert weight_of(name) == weight


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ([], NAMES),
        (["shared"], NAMES[:2]),
        (["shared/a"], NAMES[:1]),
        (["task/1"], [NAMES[2]]),
        (["task/1/"], [NAMES[2]]),
        (["task/10", "shared/a"], [NAMES[0], NAMES[3]]),
        (["task/1/a/kernel"], [NAMES[2]]),
    ],
)
def test_select(prefixes: list[str], expected: list[str]) -> None:
    assert select(NAMES, prefixes) == expected


def test_select_names_what_there_is() -> None:
    with pytest.raises(TensorError, match=r"task/2.*task/1.*task/10"):
        select(NAMES, ["task/2"])


def contribution(weight: float, **tensors: list[float]) -> Contribution:
    arrays: dict[str, Tensor] = {n: np.array(v, np.float32) for n, v in tensors.items()}
    return Contribution(arrays, dict.fromkeys(arrays, weight))


def test_average_divides_each_slice_by_its_own_holders() -> None:
    mixed = average(
        [contribution(1, a=[0, 0], b=[1]), contribution(3, a=[4, 8]), contribution(1, c=[5])]
    )
    assert list(mixed) == ["a", "b", "c"]
    np.testing.assert_allclose(mixed["a"], [3, 6])
    np.testing.assert_array_equal(mixed["b"], [1])
    np.testing.assert_array_equal(mixed["c"], [5])
    assert mixed["a"].dtype == np.float32


def test_weight_of_zero_brings_nothing() -> None:
    mixed = average([contribution(0, a=[float("nan")]), contribution(2, a=[7])])
    np.testing.assert_array_equal(mixed["a"], [7])


def test_all_weights_zero_is_the_plain_mean() -> None:
    np.testing.assert_array_equal(
        average([contribution(0, a=[2]), contribution(0, a=[4])])["a"], [3]
    )


@pytest.mark.parametrize("weight", [1e-300, 1.0, 1e308])
def test_weights_of_any_size(weight: float) -> None:
    mixed = average([contribution(weight, a=[2]), contribution(weight, a=[4])])
    np.testing.assert_array_equal(mixed["a"], [3])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights(weight: float) -> None:
    with pytest.raises(TensorError, match="weight"):
        average([contribution(weight, a=[1])])


def test_shapes_must_agree() -> None:
    with pytest.raises(TensorError, match=r"'a'.*float32\[1\].*float32\[2\]"):
        average([contribution(1, a=[1]), contribution(1, a=[1, 2])])


finite = hnp.arrays(np.float32, (3, 2), elements=st.floats(-1e6, 1e6, width=32))


@given(st.lists(st.tuples(finite, st.floats(0.01, 1e4)), min_size=1, max_size=5))
def test_average_is_numpys(holders: list[tuple[np.ndarray, float]]) -> None:
    mixed = average([Contribution({"a": v}, {"a": w}) for v, w in holders])["a"]
    values = np.stack([v for v, _ in holders]).astype(np.float64)
    expected = np.average(values, axis=0, weights=[w for _, w in holders])
    scale = np.abs(values).max()
    np.testing.assert_allclose(mixed, expected, rtol=2e-7, atol=scale * 2e-7 + 1e-38)


@given(finite, st.integers(1, 4))
def test_equal_values_stay_bit_for_bit(value: np.ndarray, holders: int) -> None:
    mixed = average([Contribution({"a": value}, {"a": 1.0})] * holders)["a"]
    assert mixed.tobytes() == (value + np.float32(0)).tobytes() or np.array_equal(mixed, value)


def test_schema_hash_sees_names_shapes_and_dtypes_alone() -> None:
    base: dict[str, Tensor] = {"a": np.zeros((2, 3), np.float32), "b": np.ones(1, np.float32)}
    same: dict[str, Tensor] = {"b": np.zeros(1, np.float32), "a": np.ones((2, 3), np.float32)}
    assert schema_hash(base) == schema_hash(same)
    others: list[dict[str, Tensor]] = [
        base | {"a": np.zeros((3, 2), np.float32)},
        base | {"a": np.zeros((2, 3), np.int32)},
        base | {"c": np.zeros(1, np.float32)},
        {"a": base["a"]},
    ]
    assert len({schema_hash(o) for o in [base, *others]}) == 5


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, r"missing \['a'\]"),
        ({"a": np.zeros(2, np.float32), "b": np.zeros(1)}, r"unknown \['b'\]"),
        ({"a": np.zeros((1, 2), np.float32)}, r"expected float32\[2\], got float32\[1, 2\]"),
        ({"a": np.zeros(2, np.int32)}, "got int32"),
        ({"a": np.array([0, np.inf], np.float32)}, "finite"),
    ],
)
def test_check_against(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        check_against(tensors, {"a": ((2,), "float32")})


def test_a_large_slice_is_averaged_to_the_bit_as_in_one_piece() -> None:
    rng = np.random.default_rng(5)
    # Several blocks and a part of one; one of the holders keeps its matrix by columns.
    values = [rng.normal(size=(3, 40_001)).astype(np.float32) for _ in range(3)]
    values[1] = np.asfortranarray(values[1])
    weights = [2.0, 1.0, 4.0]
    mixed = average(
        [Contribution({"a": v}, {"a": w}) for v, w in zip(values, weights, strict=True)]
    )
    shares = [w / 4.0 for w in weights]
    total = np.zeros((3, 40_001))
    for value, share in zip(values, shares, strict=True):
        total += share * value.astype(np.float64)
    expected = (total / sum(shares)).astype(np.float32)
    assert mixed["a"].shape == (3, 40_001)
    assert mixed["a"].tobytes() == expected.tobytes()
