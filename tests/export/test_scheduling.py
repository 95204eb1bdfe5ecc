"""The order of operators: against all orders of small graphs, and the numbers of real files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from tfplus_export import api, cost, scheduling, source
from tfplus_export.arena import arena_bytes
from tfplus_export.scheduling import Node


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], list[int]]:
    """Operator i makes tensor i; tensor n is the input."""
    count = draw(st.integers(1, 6))
    nodes = []
    for i in range(count):
        sources = draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set[int]()
        after = draw(st.sets(st.integers(0, i - 1), max_size=1)) if i else set[int]()
        nodes.append(Node(tuple(sorted(sources)) or (count,), (i,), tuple(after)))
    sizes = draw(st.lists(st.integers(0, 9), min_size=count + 1, max_size=count + 1))
    return nodes, [64 * s for s in sizes]


@given(graphs())
def test_runs_and_lies_between_the_best_of_all_orders_and_the_given_one(
    graph: tuple[list[Node], list[int]],
) -> None:
    nodes, sizes = graph
    count = len(nodes)

    def peak(order: list[int]) -> int:
        return scheduling.peak_bytes(order, nodes, sizes, [count], [count - 1])

    def runs(order: tuple[int, ...]) -> bool:
        place = {index: i for i, index in enumerate(order)}
        return all(
            place[b] < place[i]
            for i, node in enumerate(nodes)
            for b in (*node.reads, *node.after)
            if b != count
        )

    found = scheduling.shortest(nodes, sizes, [count], [count - 1])
    assert sorted(found) == list(range(count))
    assert runs(tuple(found))
    possible = [list(o) for o in itertools.permutations(range(count)) if runs(o)]
    assert min(map(peak, possible)) <= peak(found) <= peak(list(range(count)))


def steps(content: bytes, delegate: bool) -> list[np.ndarray]:
    kind = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=kind
    )
    train = interpreter.get_signature_runner("train")
    random = np.random.default_rng(0)
    found: list[np.ndarray] = []
    for _ in range(3):
        arguments = {
            name: random.random(detail["shape"]).astype(detail["dtype"])
            for name, detail in train.get_input_details().items()
        }
        found += [np.copy(v) for _, v in sorted(train(**arguments).items())]
    return found + [v for _, v in sorted(interpreter.get_signature_runner("save")().items())]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "small-cnn"])
@pytest.mark.parametrize("delegate", [True, False])
def test_a_reordered_file_computes_the_same_bits_in_less_memory(name: str, delegate: bool) -> None:
    model = source.load(f"zoo:{name}", input_shape=None, classes=None, seed=0)
    before = api.lower(model, model.model, api.Options(batch_size=4), lambda text: None).content
    after = scheduling.reorder(before)
    for got, want in zip(steps(after, delegate), steps(before, delegate), strict=True):
        np.testing.assert_array_equal(got, want)
    peaks = [arena_bytes(cost.lifetimes(c, "train")) for c in (before, after)]
    assert peaks[1] < peaks[0]
