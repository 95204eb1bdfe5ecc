"""How TFLite divides a graph among a delegate and its kernels, on graphs small enough to follow."""

from __future__ import annotations

import pytest

from tfplus.errors import ArtifactError
from tfplus.tflite.partitions import Node, Partition, divide


def chain(*made: int) -> list[Node]:
    """Operators that each take what the one before makes; tensor -1 is given."""
    return [Node((t - 1,), (t,)) for t in made]


def test_one_operator_in_the_middle_splits_a_chain() -> None:
    assert divide(chain(0, 1, 2, 3), {0, 1, 3}) == [
        Partition(True, (0, 1)),
        Partition(False, (2,)),
        Partition(True, (3,)),
    ]


def test_an_operator_beside_the_chain_splits_nothing() -> None:
    # 0 → 1 → 3, and 2 of what is given alone: the kernels may run it after the partition.
    nodes = [Node((-1,), (0,)), Node((0,), (1,)), Node((-1,), (2,)), Node((1,), (3,))]
    assert divide(nodes, {0, 1, 3}) == [Partition(True, (0, 1, 3)), Partition(False, (2,))]


def test_what_the_kernels_can_run_first_is_gathered_first() -> None:
    nodes = [Node((-1,), (0,)), Node((-1,), (1,)), Node((-2,), (2,)), Node((1, 2), (3,))]
    assert divide(nodes, {1, 3}) == [Partition(False, (0, 2)), Partition(True, (1, 3))]


def test_what_touches_variables_keeps_its_order() -> None:
    # A variable is written by 1, from what the kernels make; 2 reads it, and waits for that.
    nodes = [Node((-1,), (0,)), Node((-2, 0), (), True), Node((-2,), (1,), True)]
    assert divide(nodes, {1, 2}) == [Partition(False, (0,)), Partition(True, (1, 2))]
    # Without that order the reading would run first, and see what was there before.
    free = [Node(node.inputs, node.outputs) for node in nodes]
    assert divide(free, {1, 2}) == [Partition(False, (0,)), Partition(True, (1, 2))]
    later = [nodes[0], nodes[1], nodes[2], Node((1,), (2,))]
    assert divide(later, {2, 3}) == [Partition(False, (0, 1)), Partition(True, (2, 3))]


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ArtifactError, match="no order that runs"):
        divide([Node((1,), (0,)), Node((0,), (1,))], set())
