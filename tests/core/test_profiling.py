"""How a graph falls into partitions, and whose time XNNPACK's operators are."""

from __future__ import annotations

import pytest

from tfplus.profiling.matching import belongs, match
from tfplus.profiling.partitions import Group, Node, divide


def chain(*made: int) -> list[Node]:
    """Operators that each take what the one before makes; tensor -1 is given."""
    return [Node((t - 1,), (t,)) for t in made]


def test_one_operator_in_the_middle_splits_a_chain() -> None:
    assert divide(chain(0, 1, 2, 3), {0, 1, 3}) == [
        Group(True, (0, 1)),
        Group(False, (2,)),
        Group(True, (3,)),
    ]


def test_an_operator_beside_the_chain_splits_nothing() -> None:
    # 0 → 1 → 3, and 2 of what is given alone: the kernels may run it after the partition.
    nodes = [Node((-1,), (0,)), Node((0,), (1,)), Node((-1,), (2,)), Node((1,), (3,))]
    assert divide(nodes, {0, 1, 3}) == [Group(True, (0, 1, 3)), Group(False, (2,))]


def test_what_the_kernels_can_run_first_is_gathered_first() -> None:
    nodes = [Node((-1,), (0,)), Node((-1,), (1,)), Node((-2,), (2,)), Node((1, 2), (3,))]
    assert divide(nodes, {1, 3}) == [Group(False, (0, 2)), Group(True, (1, 3))]


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
    ],
)
def test_time_goes_to_the_operator_that_it_was_made_of(
    operators: list[str], tags: list[str], places: list[int]
) -> None:
    assert match(operators, tags) == places


def test_long_sequences_stay_in_step() -> None:
    # Four times the reach of the search, with a surplus in each group of four.
    operators = ["BATCH_MATMUL", "ADD", "MUL"] * 1000
    tags = ["Transpose", "Batch Matrix Multiply", "Add", "Multiply"] * 1000
    found = match(operators, tags)
    assert found == [place for i in range(1000) for place in (3 * i, 3 * i, 3 * i + 1, 3 * i + 2)]
    assert all(belongs(operators[p], tag) for p, tag in zip(found, tags, strict=True))
