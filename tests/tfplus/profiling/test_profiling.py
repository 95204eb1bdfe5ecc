"""Whose time XNNPACK's operators are."""

from __future__ import annotations

import pytest

from tfplus.errors import WorkerError
from tfplus.profiling import layers, process
from tfplus.profiling.litert import IN_DELEGATE, INVOKE, OPERATOR, RUN, Event
from tfplus.profiling.matching import belongs, known_operators, match
from tfplus.profiling.process import OperatorTime, Recorded
from tfplus.tflite import xnnpack
from tfplus.tflite.partitions import Node


@pytest.mark.parametrize(
    ("operators", "tags", "places"),
    [
        # One for one.
        (["ADD", "MUL", "SUB"], ["Add (ND)", "Multiply (ND)", "Subtract (ND)"], [0, 1, 2]),
        # A transposition before the product that needs it, not of the TRANSPOSE before.
        (
            ["TRANSPOSE", "BATCH_MATMUL"],
            ["Transpose (ND, X32)", "Transpose (ND, X32)", "Batch Matrix Multiply (NC, F32)"],
            [0, 1, 1],
        ),
        # A fused activation, and handles that run nothing.
        (
            ["VAR_HANDLE", "READ_VARIABLE", "ADD", "MUL", "ASSIGN_VARIABLE"],
            ["Copy (NC, X32)", "Add (ND)", "Clamp (NC, F32)", "Square (NC)"],
            [1, 2, 2, 3],
        ),
        # One that XNNPACK left out.
        (["MUL", "RESHAPE", "MUL", "SUM"], ["Multiply (ND)", "Multiply (ND)", "Sum"], [0, 2, 3]),
        # Variables, copied behind everything.
        (["MUL", "CONCATENATION"], ["Multiply (ND)", *["Copy (NC, X32)"] * 3], [0, 1, 2, 2]),
        (["ADD"], [], []),
        # A variable may be read without a copy, and nothing is joined without one.
        (["READ_VARIABLE", "CONCATENATION"], ["Copy (NC, X32)"], [1]),
        # Handles have nothing, however many.
        (["ADD", *["VAR_HANDLE"] * 40, "MUL", "ADD"], ["Add (ND)", "Multiply (ND)"], [0, 41]),
        (["ADD", *["CALL_ONCE"] * 9, "ADD"], ["Add (ND)", "Add (ND)"], [0, 10]),
    ],
)
def test_time_goes_to_the_operator_that_it_was_made_of(
    operators: list[str], tags: list[str], places: list[int]
) -> None:
    assert match(operators, tags) == places


def test_what_lies_far_behind_is_found() -> None:
    operators = ["ADD", *["VAR_HANDLE"] * 300, "MUL"]
    assert match(operators, ["Add", "Multiply"]) == [0, 301]


# A partition, a CAST, and a partition again.
GRAPH = layers.Graph(
    ("VAR_HANDLE", "READ_VARIABLE", "MUL", "CAST", "ADD"),
    (None,) * 5,
    (
        Node((), (0,)),
        Node((0,), (1,)),
        Node((1,), (2,)),
        Node((2,), (3,)),
        Node((3, 1), (4,)),
    ),
)


def ran(*operators: tuple[bool, int, str, float]) -> Recorded:
    return Recorded(tuple(OperatorTime(*o) for o in operators), (100.0,))


def test_each_time_that_was_recorded_is_given_to_one_operator() -> None:
    recorded = ran(
        (True, 0, "Copy (NC, X32)", 1.0),
        (True, 1, "Multiply (ND)", 2.0),
        (False, 3, "CAST", 4.0),
        (True, 0, "Add (ND)", 8.0),
        (True, 1, "Clamp (NC, F32)", 16.0),
        (True, 2, "Copy (NC, X32)", 32.0),
        (True, 3, "Copy (NC, X32)", 64.0),
    )
    groups, found = layers.attribute(GRAPH, recorded)
    assert [g.delegated for g in groups] == [True, False, True]
    assert found.ms == {1: 1.0, 2: 2.0, 3: 4.0, 4: 24.0, -1: 96.0}
    assert found.matched == 1.0


def test_what_no_operator_explains_is_not_matched() -> None:
    recorded = ran(
        (True, 0, "Copy", 1.0),
        (True, 1, "Softmax", 2.0),
        (False, 3, "CAST", 4.0),
        (True, 0, "Add", 8.0),
    )
    _, found = layers.attribute(GRAPH, recorded)
    assert found.matched == pytest.approx(2 / 3)
    assert sum(found.ms.values()) == 15.0


def test_a_runtime_that_divides_otherwise_is_told() -> None:
    recorded = ran((True, 0, "Copy", 1.0), (True, 1, "Multiply", 2.0), (False, 3, "CAST", 4.0))
    with pytest.raises(WorkerError, match="ran 1 partitions of XNNPACK, expected 2"):
        layers.attribute(GRAPH, recorded)


def test_times_are_means_over_the_runs() -> None:
    def run(first_us: int, whole_us: int) -> list[Event]:
        told = [Event(OPERATOR, 3, first_us, "CAST"), Event(IN_DELEGATE, 0, 1000, "Add")]
        return [*told, Event(RUN, 0, whole_us, INVOKE), Event(RUN, 0, 7, "another")]

    found = process._means([run(1000, 4000), run(2000, 9000)])
    assert found.operators == (
        OperatorTime(False, 3, "CAST", 1.5),
        OperatorTime(True, 0, "Add", 1.0),
    )
    assert found.step_ms == (4.0, 9.0)
    with pytest.raises(WorkerError, match="different operators"):
        process._means([run(1, 2), run(1, 2)[1:]])


def test_long_sequences_stay_in_step() -> None:
    # Four times the reach of the search, with a surplus in each group of four.
    operators = ["BATCH_MATMUL", "ADD", "MUL"] * 1000
    tags = ["Transpose", "Batch Matrix Multiply", "Add", "Multiply"] * 1000
    found = match(operators, tags)
    assert found == [place for i in range(1000) for place in (3 * i, 3 * i, 3 * i + 1, 3 * i + 2)]
    assert all(belongs(operators[p], tag) for p, tag in zip(found, tags, strict=True))


def test_the_profiler_knows_what_becomes_of_everything_that_xnnpack_takes() -> None:
    assert known_operators() == xnnpack.TAKEN - {"VAR_HANDLE"}
