"""A step on microbatches: every rule against TensorFlow, whole models against themselves."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st
from microbatch_cases import BATCH, CASES, RNG, Step

from tfplus_export.conversion import convert
from tfplus_export.passes import rewriting
from tfplus_export.passes.ir import aliases, step_graph
from tfplus_export.passes.ir.step_graph import Operator, StepGraph, Tensor
from tfplus_export.passes.memory import peak
from tfplus_export.passes.microbatching import microbatched
from tfplus_export.passes.microbatching import sizes as sizes_of
from tfplus_export.passes.microbatching.cut import Cut, reshaped
from tfplus_export.passes.microbatching.order import Placed, microbatch_by_microbatch
from tfplus_export.passes.microbatching.sizes import Sizes
from tfplus_export.passes.microbatching.splits import Split
from tfplus_export.passes.rematerialization import plans
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources import source

# Every operator that can be runs on each sample alone.
SAMPLES = Sizes(most_bytes=1, least_bytes=0, most_again=math.inf)
LITERT = ("ai-edge-litert",)


def on_microbatches(content: bytes, batch: int, sizes: Sizes) -> bytes:
    graph = step_graph.read(content, "train")
    plain = plans.unchanged(graph, range(len(graph.operators)))
    return rewriting.rewrite(content, microbatched.in_microbatches(plain, batch, sizes))


def names(content: bytes) -> Counter[str]:
    return Counter(o.name for o in step_graph.read(content, "train").operators)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_on_microbatches_computes_what_tensorflow_does(name: str) -> None:
    operator, often, function = CASES[name]
    step = Step(function)
    whole = convert.to_flatbuffer(step)
    content = on_microbatches(whole, BATCH, SAMPLES)
    before, after = names(whole), names(content)
    assert after[operator] >= often * before[operator] > 0
    x = RNG.standard_normal((BATCH, 4, 4, 3)).astype(np.float32)
    y = RNG.standard_normal((BATCH, 3)).astype(np.float32)
    want = step.concrete(x=tf.constant(x), y=tf.constant(y))["out"].numpy()
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        got = interpreter.get_signature_runner("train")(x=x, y=y)["out"]
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_what_every_part_would_read_anew_is_left_whole() -> None:
    def function(x: Any, y: Any) -> Any:
        return tf.matmul(tf.exp(tf.reshape(x, [6, 48])), tf.reshape(tf.exp(x), [48, 6]))

    content = on_microbatches(convert.to_flatbuffer(Step(function)), BATCH, Sizes(1, 0, 0.0))
    assert names(content)["BATCH_MATMUL"] == 1
    assert names(content)["EXP"] == 6


def test_few_data_stay_one_batch() -> None:
    whole = convert.to_flatbuffer(Step(lambda x, y: tf.exp(x) + tf.reshape(y, [6, 1, 1, 3])))
    assert names(on_microbatches(whole, BATCH, Sizes())) == names(whole)
    # As many parts as are needed, of the numbers that divide the batch.
    size = BATCH * 4 * 4 * 3 * 4
    for most, number in ((size, 1), (size - 1, 2), (size // 2, 2), (size // 2 - 1, 6), (1, 6)):
        assert names(on_microbatches(whole, BATCH, Sizes(most, 0)))["EXP"] == number


@pytest.mark.parametrize(
    ("batch", "each_bytes", "parts"),
    [
        # 31 parts where two would do, and where 16 would.
        (31, 256 << 10, 1),
        (31, 2 << 20, 31),
        (60, 256 << 10, 4),
        (128, 4 << 20, 32),
        (1024, 4 << 10, 1),
        (1024, 4 << 20, 32),
    ],
)
def test_the_number_of_microbatches(batch: int, each_bytes: int, parts: int) -> None:
    image = Tensor((batch, each_bytes // 4), 4, is_float=True, is_constant=False)
    graph = StepGraph((Operator("EXP", (0,), (1,)),), (image, image), given=(0,), kept=(1,))
    (operator,) = graph.operators
    how = Split((Cut(0),), Cut(0))
    found = sizes_of.count(graph, operator, how, 1, sizes_of.divisors(batch), Sizes())
    assert found == parts


def test_microbatches_that_became_small_are_put_together() -> None:
    def function(x: Any, y: Any) -> Any:
        return tf.exp(tf.reduce_sum(tf.exp(x), [1, 2]))

    whole = convert.to_flatbuffer(Step(function))
    few = names(on_microbatches(whole, BATCH, Sizes(1 << 9, 1 << 5)))
    assert (few["SUM"], few["EXP"]) == (6, 7)
    assert names(on_microbatches(whole, BATCH, Sizes(1 << 9, 0)))["EXP"] == 12


def test_what_feeds_microbatches_is_made_in_as_many() -> None:
    def function(x: Any, y: Any) -> Any:
        small = tf.exp(tf.exp(x))
        return tf.exp(tf.concat([small, small, small, small], 3))

    whole = convert.to_flatbuffer(Step(function))
    size = BATCH * 4 * 4 * 3 * 4
    # Four times as wide, six parts are needed; before, the batch is a quarter of it.
    kept = names(on_microbatches(whole, BATCH, Sizes(size, size // 6)))
    assert (kept["EXP"], kept["SLICE"]) == (18, 6)
    # Parts before would be too small.
    cut = names(on_microbatches(whole, BATCH, Sizes(size, size // 2)))
    assert (cut["EXP"], cut["SLICE"]) == (8, 6)


@pytest.mark.parametrize(
    ("batch", "found"), [(1, [1]), (7, [1, 7]), (32, [1, 2, 4, 8, 16, 32]), (60, [1, 2, 4, 12, 60])]
)
def test_microbatches_are_of_equal_size(batch: int, found: list[int]) -> None:
    assert sizes_of.divisors(batch) == found


@settings(max_examples=200)
@given(st.data())
def test_reshaped_parts_are_parts_of_the_reshaped(data: st.DataObject) -> None:
    """NumPy takes the parts before and behind the reshape."""
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 4, 6, 12]), min_size=1, max_size=4)))
    target = tuple(data.draw(st.permutations(shape)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    outer = data.draw(st.sampled_from([d for d in (1, 2, 3) if shape[axis] % d == 0]))
    cut, unit = Cut(axis, outer), 2
    if cut.extent(shape) % unit:
        return
    made = reshaped(cut, shape, target, unit)
    if made is None:
        return

    def parts(x: np.ndarray, c: Cut) -> list[np.ndarray]:
        pieces = np.split(x.reshape(c.flat(x.shape)), unit, axis=1)
        return [p.reshape(c.part(x.shape, unit)) for p in pieces]

    x = np.arange(math.prod(shape)).reshape(shape)
    for before, behind in zip(parts(x, cut), parts(x.reshape(target), made), strict=True):
        np.testing.assert_array_equal(before.ravel(), behind.ravel())


def chain(*ends: int | None) -> list[Placed]:
    """Operator i reads what the others with its end, or all before the whole batch, made last."""
    made: dict[int | None, int] = {}
    found: list[Placed] = []
    for i, end in enumerate(ends):
        reads = tuple(made.values()) if end is None else (made.get(end, made.get(None, 99)),)
        found.append(Placed(Operator("ADD", reads, (i,)), i, end))
        made = {None: i} if end is None else made | {end: i}
    return found


def test_one_part_runs_to_what_needs_the_whole_batch() -> None:
    tensors = [Tensor((1,), 4, is_float=True, is_constant=False)] * 100
    placed = chain(1, 2, 1, 2, None, 1, 2, 1, 2)
    order = [p.source for p in microbatch_by_microbatch(placed, tensors)]
    assert order == [0, 2, 1, 3, 4, 5, 7, 6, 8]


def test_an_update_waits_for_the_last_part_and_stops_none() -> None:
    placed = chain(1, 2, 1, 2)
    update = Placed(Operator("ASSIGN_VARIABLE", (2, 3), ()), 4, None)
    more = [Placed(Operator("ADD", (end + 1,), (end + 5,)), end + 5, end) for end in (1, 2)]
    for size, want in ((1, [0, 2, 6, 1, 3, 7, 4]), (1 << 20, [0, 2, 1, 3, 4, 6, 7])):
        tensors = [Tensor((size,), 4, is_float=True, is_constant=False)] * 100
        found = microbatch_by_microbatch([*placed, update, *more], tensors)
        assert [p.source for p in found] == want


@settings(max_examples=200)
@given(st.data())
def test_an_order_by_microbatches_runs(data: st.DataObject) -> None:
    tensors = [Tensor((1 << 14,), 4, is_float=True, is_constant=False)] * 40
    placed: list[Placed] = []
    for i in range(data.draw(st.integers(1, 30))):
        reads = data.draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else []
        end = data.draw(st.sampled_from([None, 1, 2, 3]))
        placed.append(Placed(Operator("ADD", tuple(reads), (i,)), i, end))
    found = microbatch_by_microbatch(placed, tensors)
    assert sorted(p.source for p in found) == list(range(len(placed)))
    made: set[int] = set()
    for one in found:
        assert made.issuperset(one.operator.reads)
        made.update(one.operator.writes)


def test_microbatches_that_do_not_fit_into_a_limit_are_not_taken() -> None:
    image = Tensor((2, 512), 4, is_float=True, is_constant=False)
    number = Tensor((512,), 4, is_float=True, is_constant=False)
    axes = Tensor((1,), 4, is_float=False, is_constant=True, integers=(0,))
    graph = StepGraph(
        (Operator("EXP", (0,), (1,)), Operator("SUM", (1, 3), (2,))),
        (image, image, number, axes),
        given=(0,),
        kept=(2,),
    )
    whole = plans.unchanged(graph, range(2))
    parts = rewriting.on_microbatches(whole, LITERT, None, 2, SAMPLES)
    assert len(parts.graph.operators) > 2
    needs = [peak.most_bytes(p.graph, LITERT) for p in (whole, parts)]
    assert needs[0] < needs[1]
    assert rewriting.on_microbatches(whole, LITERT, needs[1], 2, SAMPLES) == parts
    assert rewriting.on_microbatches(whole, LITERT, needs[1] - 1, 2, SAMPLES) is whole


@pytest.mark.parametrize(
    "name",
    [
        "lenet",
        pytest.param("keyword-cnn", marks=pytest.mark.slow),
        pytest.param("small-cnn", marks=pytest.mark.slow),
        pytest.param("reduced-mobilenet", marks=pytest.mark.slow),
        pytest.param("reduced-resnet", marks=pytest.mark.slow),
    ],
)
def test_a_step_on_microbatches_is_the_step(name: str) -> None:
    loaded = source.load(f"zoo:{name}", input_shape=None, classes=None, seed=0)
    options = Options(batch_size=6)
    whole = train_graph.build(
        loaded, loaded.model, options, lambda text: None, schedule=False
    ).content
    content = on_microbatches(whole, 6, Sizes(1 << 10, 0, math.inf))
    before, graph = (step_graph.read(c, "train") for c in (whole, content))
    assert len(graph.operators) > 1.5 * len(before.operators)
    assert aliases.overwritten(graph) <= aliases.overwritten(before)
    for resolver in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        want, got = (after_a_step(c, resolver) for c in (whole, content))
        for variable, value in want.items():
            error = np.linalg.norm(got[variable] - value) / (np.linalg.norm(value) + 1e-6)
            assert error < 2e-5, variable


def after_a_step(content: bytes, resolver: OpResolverType) -> dict[str, np.ndarray]:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    train = interpreter.get_signature_runner("train")
    rng = np.random.default_rng(0)
    reported = train(
        **{
            n: (
                rng.standard_normal(d["shape"]) if n == "x" else rng.integers(0, 3, d["shape"])
            ).astype(d["dtype"])
            for n, d in train.get_input_details().items()
        }
    )
    saved = interpreter.get_signature_runner("save")()
    return {n: np.array(v) for n, v in {**reported, **saved}.items()}
