"""Order and rematerialization: random graphs are interpreted, real files agree in bits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from tfplus_export.passes import rewriting, scheduling
from tfplus_export.passes.ir import aliases, delegation, step_graph
from tfplus_export.passes.ir.step_graph import Operator, StepGraph, Tensor
from tfplus_export.passes.memory import peak
from tfplus_export.passes.rematerialization import plans, selection
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources import source

LITERT = ("ai-edge-litert",)
KIB = 1024


@st.composite
def graphs(draw: st.DrawFn, most: int, names: tuple[str, ...]) -> StepGraph:
    """Operator i makes tensor i; tensor n is the input; the last one is the output."""
    count = draw(st.integers(1, most))
    operators: list[Operator] = []
    for i in range(count):
        sources = draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else []
        operators.append(Operator(draw(st.sampled_from(names)), (*sources, count)[:2], (i,)))
    sizes = draw(st.lists(st.integers(0, 9), min_size=count + 1, max_size=count + 1))
    tensors = tuple(Tensor((KIB * s,), 4, is_float=True, is_constant=False) for s in sizes)
    return StepGraph(tuple(operators), tensors, given=(count,), kept=(count - 1,))


def values(graph: StepGraph) -> tuple[object, ...]:
    """What each output is: an expression of the inputs. Fails where a tensor is not there yet."""
    known: dict[int, object] = {t: ("input", t) for t in graph.given}
    for operator in graph.operators:
        result = (operator.name, *(known[t] for t in operator.reads))
        known |= dict.fromkeys(operator.writes, result)
    return tuple(known[t] for t in graph.kept)


def runs(graph: StepGraph, order: tuple[int, ...]) -> bool:
    try:
        values(graph.ordered(order))
    except KeyError:
        return False
    return True


@settings(max_examples=40)
@given(graphs(5, ("ADD", "MEAN", "SUM", "ARG_MAX")))
def test_an_order_runs_and_lies_between_the_best_of_all_and_the_given_one(graph: StepGraph) -> None:
    def bytes_of(order: tuple[int, ...]) -> int:
        return peak.most_bytes(graph.ordered(order), LITERT)

    own = tuple(range(len(graph.operators)))
    found = tuple(scheduling.shortest(graph, LITERT))
    assert sorted(found) == list(own)
    assert values(graph.ordered(found)) == values(graph)
    best = min(bytes_of(o) for o in itertools.permutations(own) if runs(graph, o))
    assert best <= bytes_of(found) <= bytes_of(own)


@settings(max_examples=30)
@given(graphs(16, ("ADD", "SLICE", "MAXIMUM", "MEAN", "SUM")), st.integers(0, 400 * KIB))
def test_what_is_computed_twice_is_the_same(graph: StepGraph, limit_bytes: int) -> None:
    plain = plans.unchanged(graph, range(len(graph.operators)))
    plan = selection.reduced(plain, limit_bytes, LITERT)
    assert values(plan.graph) == values(graph)
    assert peak.most_bytes(plan.graph, LITERT) <= peak.most_bytes(graph, LITERT)
    for operator, index in zip(plan.graph.operators, plan.sources, strict=True):
        assert operator.name == graph.operators[index].name
        assert tuple(plan.origins[t] for t in operator.writes) == graph.operators[index].writes
    repeated = len(plan.graph.operators) - len(graph.operators)
    assert repeated == 0 or plan.again_bytes > 0
    again = {graph.operators[i].name for i in plan.sources if plan.sources.count(i) > 1}
    assert again.isdisjoint({"MEAN", "SUM"})


def test_what_waits_for_its_second_use_is_computed_twice() -> None:
    """X → big → … → small, and big again at the end: 3 of 9 KiB lie there for nothing."""
    sizes = (4, 16, 1, 32, 1, 16)
    tensors = tuple(Tensor((KIB // 4 * s,), 4, is_float=True, is_constant=False) for s in sizes)
    operators = (
        Operator("SLICE", (0,), (1,)),
        Operator("SUM", (1,), (2,)),
        Operator("PAD", (2,), (3,)),
        Operator("SUM", (3,), (4,)),
        Operator("MUL", (1, 4), (5,)),
        Operator("SUM", (5, 0), (4 + 2,)),
    )
    tensors = (*tensors, Tensor((1,), 4, is_float=True, is_constant=False))
    graph = StepGraph(operators, tensors, given=(0,), kept=(6,))
    plain = plans.unchanged(graph, range(6))
    assert peak.most_bytes(graph, LITERT) >= (4 + 16 + 32) * KIB
    plan = selection.reduced(plain, 40 * KIB, LITERT)
    assert [o.name for o in plan.graph.operators].count("SLICE") == 2
    assert peak.most_bytes(plan.graph, LITERT) <= 40 * KIB
    assert plan.again_bytes == (4 + 16) * KIB
    # With room enough nothing runs twice that is not nearly free.
    assert selection.reduced(plain, 60 * KIB, LITERT) == plain
    assert selection.reduced(plain, None, LITERT) == plain


def test_what_tflite_would_write_over_is_counted() -> None:
    tensors = tuple(Tensor((4,), 4, is_float=True, is_constant=False) for _ in range(5))
    shared = (
        Operator("MUL", (0, 0), (1,)),
        Operator("RESHAPE", (1,), (2,)),
        Operator("ADD", (2, 0), (3,)),
    )
    later = (*shared, Operator("ADD", (1, 3), (4,)))
    assert aliases.overwritten(StepGraph(later, tensors, given=(0,), kept=(4,))) == 1
    # The reshaped tensor lives as long as what it was made of.
    last = (*shared, Operator("ADD", (1, 2), (4,)))
    assert aliases.overwritten(StepGraph(last, tensors, given=(0,), kept=(4,))) == 0
    # An output of the step is read behind its end.
    assert aliases.overwritten(StepGraph(shared, tensors, given=(0,), kept=(1, 3))) == 1
    assert aliases.overwritten(StepGraph(shared, tensors, given=(0,), kept=(2, 3))) == 0


def of_sizes(operators: tuple[Operator, ...], kib: tuple[int, ...]) -> StepGraph:
    """Operator i makes tensor i, of so many KiB; the last tensor is the input."""
    tensors = tuple(Tensor((KIB // 4 * s,), 4, is_float=True, is_constant=False) for s in kib)
    return StepGraph(operators, tensors, given=(len(kib) - 1,), kept=(len(kib) - 2,))


def test_an_order_that_tflite_would_write_over_is_not_taken() -> None:
    operators = (
        Operator("RESHAPE", (4,), (0,)),
        Operator("ADD", (4, 0), (1,)),
        Operator("ADD", (1, 4), (2,)),
        Operator("ADD", (0, 0), (3,)),
    )
    graph = of_sizes(operators, (9, 9, 4, 4, 9))
    order = scheduling.backwards(scheduling.dependencies(graph))
    assert peak.most_bytes(graph.ordered(order), LITERT) < peak.most_bytes(graph, LITERT)
    assert aliases.overwritten(graph.ordered(order)) == 1
    assert scheduling.shortest(graph, LITERT) == [0, 1, 2, 3]


@pytest.mark.parametrize(("user", "times"), [("SUM", 2), ("MUL", 1)])
def test_nothing_runs_twice_where_tflite_would_write_over_it(user: str, times: int) -> None:
    """Made again for its last use, the reshaped tensor ends before what shares its place."""
    operators = (
        Operator("SUM", (11,), (0,)),
        Operator("RESHAPE", (0,), (1,)),
        Operator("SUM", (11,), (2,)),
        Operator(user, (1, 2), (3,)),
        Operator("SUM", (3,), (4,)),
        Operator("PAD", (4,), (5,)),
        Operator("SUM", (5,), (6,)),
        Operator("MUL", (0, 6), (7,)),
        Operator("SUM", (7,), (8,)),
        Operator("MUL", (1, 8), (9,)),
        Operator("SUM", (9,), (10,)),
    )
    graph = of_sizes(operators, (16, 16, 1, 16, 1, 64, 1, 16, 1, 16, 1, 4))
    plan = selection.reduced(plans.unchanged(graph, range(11)), 0, LITERT)
    assert [o.name for o in plan.graph.operators].count("RESHAPE") == times
    assert aliases.overwritten(graph) == aliases.overwritten(plan.graph) == 0


def test_partitions_keep_the_order_of_what_touches_variables() -> None:
    tensors = tuple(Tensor((KIB,), 4, is_float=True, is_constant=False) for _ in range(6))
    operators = (
        Operator("ADD", (0, 0), (1,)),
        Operator("ARG_MAX", (1,), (2,)),
        Operator("ASSIGN_VARIABLE", (3, 2), ()),
        Operator("READ_VARIABLE", (4,), (5,)),
    )
    found = delegation.partitions(StepGraph(operators, tensors, given=(0, 3, 4), kept=(5,)))
    assert [(p.delegated, p.operators) for p in found] == [
        (True, (0,)),
        (False, (1,)),
        (True, (2, 3)),
    ]


def test_a_variable_is_read_before_it_is_written() -> None:
    tensors = tuple(Tensor((KIB,), 4, is_float=True, is_constant=False) for _ in range(5))
    operators = (
        Operator("VAR_HANDLE", (), (0,)),
        Operator("READ_VARIABLE", (0,), (1,)),
        Operator("SUM", (4,), (2,)),
        Operator("ADD", (1, 1), (3,)),
        Operator("ASSIGN_VARIABLE", (0, 2), ()),
    )
    graph = StepGraph(operators, tensors, given=(4,), kept=(3,))
    assert scheduling.dependencies(graph) == [[], [0], [], [1], [0, 1, 2]]
    once = replace(graph, operators=(Operator("CALL_ONCE", (), ()), *operators))
    assert all(0 in before for before in scheduling.dependencies(once)[1:])
    plan = selection.reduced(plans.unchanged(graph, (0, 1, 2, 4, 3)), 0, LITERT)
    assert [o.name for o in plan.graph.operators].count("READ_VARIABLE") == 1


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


def tensor_bytes(content: bytes) -> int:
    return peak.most_bytes(step_graph.read(content, "train"), LITERT)


@pytest.mark.parametrize(
    "name",
    [
        "lenet",
        pytest.param("small-cnn", marks=pytest.mark.slow),
        pytest.param("reduced-mobilenet", marks=pytest.mark.slow),
    ],
)
def test_a_rewritten_file_computes_the_same_bits_in_less_memory(name: str) -> None:
    model = source.load(f"zoo:{name}", input_shape=None, classes=None, seed=0)
    options = Options(batch_size=4)
    found = train_graph.build(
        model, model.model, options, lambda text: None, schedule=False
    ).content
    graph = step_graph.read(found, "train")
    free, least, again = (
        rewriting.rewrite(found, rewriting.plan(graph, LITERT, limit)) for limit in (None, 0, 0)
    )
    assert tensor_bytes(least) <= tensor_bytes(free) < tensor_bytes(found)
    assert again == least
    for delegate in (True, False):
        wanted = steps(found, delegate)
        for content in (free, least):
            for got, want in zip(steps(content, delegate), wanted, strict=True):
                np.testing.assert_array_equal(got, want)
