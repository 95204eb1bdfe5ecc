"""What every mixing rule of the registry promises; a new one is held to it by being registered."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import TensorError
from tfplus.gossip.membership.topology import mesh, ring
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.registry import MIXINGS, Mixing
from tfplus.tensors.slice_set import SliceSet

every_rule = pytest.mark.parametrize("rule", MIXINGS.values(), ids=MIXINGS)
Topology = Callable[[Sequence[str]], Mapping[str, tuple[str, ...]]]
SHARED, TASK = "shared/k", "task/1/k"
VALUES = st.floats(-1e6, 1e6, width=32)


def contribution(
    peer: str, degree: int = 2, weight: float = 1.0, **tensors: Sequence[float]
) -> RoundContribution:
    held = SliceSet({n.replace("_", "/"): np.array(v, np.float32) for n, v in tensors.items()})
    return RoundContribution(peer, 1, 1, degree, held, dict.fromkeys(held, weight))


@every_rule
@given(
    own=VALUES,
    others=st.lists(st.tuples(VALUES, st.integers(1, 9), st.floats(0, 1e6)), max_size=4),
    weight=st.floats(0, 1e6),
)
def test_a_result_lies_between_what_went_in(
    rule: Mixing, own: float, others: list[tuple[float, int, float]], weight: float
) -> None:
    mine = contribution("me", max(1, len(others)), weight, shared_k=[own, 2.0])
    theirs = [
        contribution(f"p{i}", degree, samples, shared_k=[value, 2.0])
        for i, (value, degree, samples) in enumerate(others)
    ]
    mixed = rule.mix(mine, theirs)
    values = [c.tensors[SHARED][0] for c in (mine, *theirs)]
    assert min(values) <= mixed[SHARED][0] <= max(values)
    assert mixed[SHARED][1] == 2.0
    assert rule.mix(mine, theirs[::-1])[SHARED].tobytes() == mixed[SHARED].tobytes()


@every_rule
def test_a_node_keeps_its_slices_in_its_order_and_what_it_alone_holds(rule: Mixing) -> None:
    own = contribution("a", task_1_k=[5.0], shared_k=[1.0, 2.0])
    before = {name: value.copy() for name, value in own.tensors.items()}
    other = contribution("b", shared_k=[3.0, 2.0], task_7_k=[9.0])
    mixed = rule.mix(own, [other])
    assert list(mixed) == [TASK, SHARED]
    assert isinstance(mixed, SliceSet)
    assert mixed[TASK][0] == 5.0
    assert 1.0 < mixed[SHARED][0] < 3.0
    assert {n: (t.shape, t.dtype) for n, t in mixed.items()} == {
        n: (t.shape, t.dtype) for n, t in before.items()
    }
    for name, value in before.items():
        np.testing.assert_array_equal(own.tensors[name], value)
    alone = rule.mix(own, [])
    assert all(alone[name].tobytes() == value.tobytes() for name, value in before.items())


@every_rule
def test_samples_weigh_and_none_weigh_nothing(rule: Mixing) -> None:
    own = contribution("a", weight=0.0, task_1_k=[1.0])
    taught = contribution("b", weight=7.0, task_1_k=[4.0])
    assert rule.mix(own, [taught])[TASK][0] == 4.0
    heavy = rule.mix(contribution("a", weight=1.0, task_1_k=[0.0]), [taught])[TASK][0]
    light = rule.mix(contribution("a", weight=9.0, task_1_k=[0.0]), [taught])[TASK][0]
    assert 0.0 < light < heavy < 4.0
    # Where nobody has samples the rule alone decides.
    idle = rule.mix(own, [contribution("b", weight=0.0, task_1_k=[4.0])])[TASK][0]
    assert 1.0 < idle < 4.0


@every_rule
@pytest.mark.parametrize("topology", [ring, mesh])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_on_a_regular_network_nodes_agree_on_the_mean_or_on_something_between(
    rule: Mixing, topology: Topology, count: int
) -> None:
    neighbours = topology([f"n{i}" for i in range(count)])
    rng = np.random.default_rng(count)
    values = {name: rng.normal(size=4).astype(np.float32) for name in neighbours}
    mean = np.mean(list(values.values()), axis=0)
    spread = [float(np.ptp(list(values.values()), axis=0).max())]
    for _ in range(30):
        said = {
            n: contribution(n, len(neighbours[n]), shared_k=v.tolist()) for n, v in values.items()
        }
        values = {
            n: rule.mix(said[n], [said[p] for p in neighbours[n]])[SHARED] for n in neighbours
        }
        if rule.keeps_mean:
            np.testing.assert_allclose(np.mean(list(values.values()), axis=0), mean, atol=1e-5)
        spread.append(float(np.ptp(list(values.values()), axis=0).max()))
    assert spread[-1] < (1e-3 if rule.keeps_mean else 0.6) * spread[0]
    assert all(after <= before * 1.0001 for before, after in itertools.pairwise(spread))


@every_rule
def test_what_does_not_fit_is_refused(rule: Mixing) -> None:
    own = contribution("a", shared_k=[1.0])
    for other in (
        contribution("b", shared_k=[1.0, 2.0]),
        contribution("b", weight=-1.0, shared_k=[1.0]),
        contribution("b", weight=float("nan"), shared_k=[1.0]),
    ):
        with pytest.raises(TensorError, match=SHARED):
            rule.mix(own, [other])


def test_each_has_its_name() -> None:
    assert {name: rule.name for name, rule in MIXINGS.items()} == {n: n for n in MIXINGS}
