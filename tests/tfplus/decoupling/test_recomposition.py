"""The whole put together: the identity, averages, and classes that nobody holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest

from tfplus.decoupling.device_parts import check_origin
from tfplus.decoupling.plan import Plan
from tfplus.decoupling.recomposition import Part, recompose
from tfplus.errors import PlanError, TensorError
from tfplus.tensors.slices import Tensor, task_of


def held(plan: Plan, classes: Iterable[int]) -> dict[str, Tensor]:
    labels = {None, *map(str, classes)}
    return {n: v.copy() for n, v in plan.weights.items() if task_of(n) in labels}


def test_unchanged_parts_give_the_same_bytes(plan: Plan) -> None:
    parts = [Part("a", held(plan, (4, 7)), 3.0), Part("b", held(plan, (7, 2)), 7.1)]
    found = recompose(plan, parts)
    assert found.holders == {4: ("a",), 7: ("a", "b"), 2: ("b",)}
    assert found.kept == ()
    assert list(found.weights) == list(plan.weights)
    for name, value in plan.weights.items():
        assert found.weights[name].tobytes() == value.tobytes(), name


def test_a_branch_is_averaged_over_its_holders_by_their_weight(plan: Plan) -> None:
    a, b = held(plan, (4, 7)), held(plan, (7, 2))
    for name in b:
        b[name] = b[name] + np.float32(1)
    found = recompose(plan, [Part("a", a, 1), Part("b", b, 3)]).weights
    for name, expected in (
        ("task/4/conv2/kernel", a["task/4/conv2/kernel"]),
        ("task/2/conv2/kernel", b["task/2/conv2/kernel"]),
        ("task/7/conv2/kernel", a["task/7/conv2/kernel"] + 0.75),
        ("shared/conv1/kernel", a["shared/conv1/kernel"] + 0.75),
    ):
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, err_msg=name)


def test_variances_are_those_of_all_samples_together(plan: Plan) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (300, 2)), rng.normal(5, 2, (100, 2))
    parts: list[Part] = []
    for name, samples in (("a", first), ("b", second)):
        tensors = held(plan, plan.classes)
        tensors["task/4/norm/moving_mean"] = samples.mean(0).astype(np.float32)
        tensors["task/4/norm/moving_variance"] = samples.var(0).astype(np.float32)
        parts.append(Part(name, tensors, len(samples)))
    found = recompose(plan, parts).weights
    together = np.concatenate([first, second])
    np.testing.assert_allclose(found["task/4/norm/moving_mean"], together.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["task/4/norm/moving_variance"], together.var(0), rtol=1e-6)


def test_classes_that_nobody_holds_are_listed(plan: Plan) -> None:
    with pytest.raises(PlanError, match=r"classes \[7, 2\] are held by nobody"):
        recompose(plan, [Part("a", held(plan, (4,)))])


def test_slices_that_trained_nowhere_are_the_plans(plan: Plan) -> None:
    tensors = {n: v for n, v in held(plan, plan.classes).items() if task_of(n) is not None}
    found = recompose(plan, [Part("a", tensors)])
    assert set(found.kept) == {"shared/conv1/kernel", "shared/conv1/bias"}
    assert found.weights["shared/conv1/bias"] is plan.weights["shared/conv1/bias"]


def test_parts_of_another_model_are_refused(plan: Plan) -> None:
    with pytest.raises(PlanError, match="a: none of its 1 tensors is a slice of the plan"):
        recompose(plan, [Part("a", {"shared/dense/kernel": np.zeros((2, 2), np.float32)})])
    tensors = held(plan, plan.classes)
    del tensors["task/7/logits/kernel"]
    with pytest.raises(PlanError, match="a part of the branch of class 7 but not 'task/7/logits"):
        recompose(plan, [Part("a", tensors)])
    tensors = held(plan, plan.classes)
    tensors["shared/conv1/bias"] = np.zeros(5, np.float32)
    with pytest.raises(TensorError, match="a: tensor 'shared/conv1/bias': expected float32"):
        recompose(plan, [Part("a", tensors)])
    tensors["shared/conv1/bias"] = np.full(4, np.nan, np.float32)
    with pytest.raises(TensorError, match="expected finite values"):
        recompose(plan, [Part("a", tensors)])


def test_of_a_class_that_nobody_holds_the_plans_branch_can_be_taken(plan: Plan) -> None:
    changed = {n: v + np.float32(1) for n, v in held(plan, (4,)).items()}
    found = recompose(plan, [Part("a", changed)], whole=False)
    assert found.holders == {4: ("a",), 7: (), 2: ()}
    for name, value in plan.weights.items():
        learned = task_of(name) in (None, "4")
        wanted = changed[name] if learned else value
        np.testing.assert_array_equal(found.weights[name], wanted)


def test_other_frozen_layers_are_another_plan(plan: Plan) -> None:
    value = plan.weights["shared/conv1/bias"]
    sha256 = hashlib.sha256(value.tobytes()).hexdigest()
    check_origin(plan, "agent 'a'", plan.tag, {"shared/conv1/bias": sha256, "shared/other": "0"})
    with pytest.raises(PlanError, match="agent 'a': its frozen 'shared/conv1/bias' is not"):
        check_origin(plan, "agent 'a'", plan.tag, {"shared/conv1/bias": "0" * 64})
    with pytest.raises(PlanError, match="was exported from 'zoo:digits'"):
        check_origin(plan, "agent 'a'", "zoo:digits", {})
