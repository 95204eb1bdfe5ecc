"""Slices that have an owner each: the mean in two rounds, and what of it holds with faults."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import UsageError
from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, initial_state
from tfplus.gossip.membership.parts import by_parts, owners
from tfplus.gossip.messages import (
    LocalDone,
    Received,
    RoundContribution,
    RoundDone,
    Started,
    Tick,
)
from tfplus.gossip.mixing.uniform import Uniform
from tfplus.gossip.simulation.network import Faults
from tfplus.gossip.simulation.setup import Crash, Node, Result, Watch
from tfplus.gossip.simulation.simulation import simulate
from tfplus.tensors.slice_set import SliceSet

SLICES = {"shared/a": 40, "shared/b": 10, "shared/c": 30, "shared/d": 20, "shared/e": 8}


def names(count: int) -> list[str]:
    return [f"n{i}" for i in range(count)]


def start(count: int) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(count)
    return {
        name: {s: rng.standard_normal(size // 2).astype(np.float32) for s, size in SLICES.items()}
        for name in names(count)
    }


def averaged(
    values: Mapping[str, Mapping[str, np.ndarray]],
    rounds: int = 2,
    crashes: tuple[Crash, ...] = (),
    watch: Watch | None = None,
    faults: Faults | None = None,
    samples: Mapping[str, float] | None = None,
) -> Result:
    sizes = {s: v.nbytes for s, v in next(iter(values.values())).items()}
    schedules = by_parts([*values], sizes)
    nodes = {
        name: Node(
            tuple(n for n in values if n != name), held,
            dict.fromkeys(held, (samples or {}).get(name, 1.0)),
            lambda _, tensors: tensors, schedule=schedules[name],
        )
        for name, held in values.items()
    }  # fmt: skip
    return simulate(
        nodes, rounds=rounds, round_timeout_s=10.0, mixing=Uniform(), crashes=crashes,
        watch=watch or Watch(), faults=faults or Faults(),
    )  # fmt: skip


def held(ended: Result, name: str, slice_name: str) -> np.ndarray:
    return np.asarray(ended.tensors[name][slice_name], np.float64)


@given(st.integers(1, 9), st.dictionaries(st.text("xyz", max_size=3), st.integers(1, 99)))
def test_every_slice_has_one_owner_and_nobody_much_more_than_the_others(
    count: int, sizes: dict[str, int]
) -> None:
    parts = owners(names(count), sizes)
    assert sorted(s for part in parts.values() for s in part) == sorted(sizes)
    loads = [sum(sizes[s] for s in part) for part in parts.values()]
    assert max(loads) - min(loads) <= max(sizes.values(), default=0)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_two_rounds_give_all_the_mean_by_samples(count: int) -> None:
    values = start(count)
    samples = {name: float(i + 1) for i, name in enumerate(values)}
    ended = averaged(values, samples=samples)
    for slice_name in SLICES:
        total = sum(samples[n] * values[n][slice_name].astype(np.float64) for n in values)
        for name in values:
            np.testing.assert_allclose(
                held(ended, name, slice_name), total / sum(samples.values()), atol=1e-6
            )
    assert ended.finished == frozenset(values)


def test_a_node_sends_each_byte_about_twice_however_many_there_are() -> None:
    count = 5
    values = {n: {f"shared/{i}": np.zeros(8, np.float32) for i in range(10)} for n in names(count)}
    sent = dict.fromkeys(values, 0)

    def on_send(name: str, contribution: RoundContribution, to: int) -> None:
        sent[name] += contribution.tensors.size_bytes * to

    averaged(values, watch=Watch(on_send=on_send))
    assert set(sent.values()) == {2 * (count - 1) * 10 * 32 // count}


def test_a_slice_of_an_owner_that_is_gone_stays_and_all_else_agrees() -> None:
    values = start(4)
    gone = "n1"
    ended = averaged(values, rounds=4, crashes=(Crash(gone, 0.0, float("inf")),))
    lost = owners([*values], {s: v.nbytes for s, v in values["n0"].items()})[gone]
    assert lost
    left = [n for n in values if n != gone]
    for slice_name in SLICES:
        mean = np.mean([values[n][slice_name] for n in left], axis=0)
        for name in left:
            expected = values[name][slice_name] if slice_name in lost else mean
            np.testing.assert_allclose(held(ended, name, slice_name), expected, atol=1e-6)


def test_messages_that_come_doubled_and_late_lead_nobody_to_take_what_is_no_average() -> None:
    values = start(5)
    faults = Faults(delay_s=(0.0, 3.0), duplicate=0.3)
    ended = averaged(values, rounds=6, faults=faults)
    for slice_name in SLICES:
        mean = np.mean([values[n][slice_name] for n in values], axis=0)
        for name in values:
            np.testing.assert_allclose(held(ended, name, slice_name), mean, atol=1e-5)


def test_a_late_share_of_a_part_is_not_taken_for_its_average() -> None:
    mine, theirs = SliceSet({"x": np.array([1.0], np.float32)}), np.array([9.0], np.float32)
    # "a", where this is, owns "x", and "b" owns "y".
    schedule = by_parts(["a", "b", "c"], {"x": 4, "y": 4})["a"]
    config = NodeConfig("a", 1, ("b", "c"), 2, 10.0, mine.layouts(), schedule=schedule)
    state, _ = step(initial_state(config), Started(0.0))
    state, _ = step(state, LocalDone(0.0, 1, mine, {"x": 1.0}))
    state, _ = step(state, Tick(10.0))
    late = RoundContribution("b", 1, 1, 2, SliceSet({"x": theirs}), {"x": 1.0})
    state, _ = step(state, Received(10.5, late))
    state, _ = step(state, LocalDone(11.0, 2, mine, {"x": 1.0}))
    _, effects = step(state, Tick(21.0))
    (done,) = [e for e in effects if isinstance(e, RoundDone)]
    assert done.tensors["x"][0] == 1.0


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(UsageError):
        by_parts(["a", "a"], SLICES)
