"""What XNNPACK lays out for a product, and what a limit leaves for a step's tensors."""

from __future__ import annotations

import pytest

from tfplus_export.costs import budget
from tfplus_export.costs.memory import MIB, RUNTIMES, StepMemory, peak_bytes
from tfplus_export.passes.ir.step_graph import Operator, StepGraph, Tensor
from tfplus_export.passes.memory.peak import scratch_bytes


def product(shape: tuple[int, ...], *, transposed: bool = False, constant: bool = False) -> int:
    """Scratch of a product whose second factor has that shape."""
    tensors = (Tensor((1, 1), 4, True, False), Tensor(shape, 4, True, constant))
    operator = Operator("BATCH_MATMUL", (0, 1), (0,), transposes_right=transposed)
    return scratch_bytes(StepGraph((operator,), tensors, (), ()), operator)


@pytest.mark.parametrize(
    ("shape", "transposed", "rows", "columns", "times"),
    [
        # Columns come in sixteens; a row of zeros, the bias, stands in front.
        ((5, 16), False, 5, 16, 1),
        ((5, 17), False, 5, 32, 1),
        ((17, 5), True, 5, 32, 1),
        ((3, 7, 100), False, 7, 112, 3),
    ],
)
def test_a_product_packs_its_second_factor(
    shape: tuple[int, ...], transposed: bool, rows: int, columns: int, times: int
) -> None:
    assert product(shape, transposed=transposed) == times * (rows + 1) * columns * 4


def test_constants_are_packed_once_and_other_operators_pack_nothing() -> None:
    assert product((5, 16), constant=True) == 0
    tensors = (Tensor((5, 16), 4, True, False),)
    other = Operator("MUL", (0, 0), (0,))
    assert scratch_bytes(StepGraph((other,), tensors, (), ()), other) == 0


def test_a_limit_leaves_what_the_process_does_not_take_anyway() -> None:
    kept = StepMemory(3 * MIB, 2 * MIB, 5 * MIB, dict.fromkeys(RUNTIMES, 0))
    assert budget.tensor_limit_bytes(kept, RUNTIMES, None) is None
    for runtime in RUNTIMES:
        left = budget.tensor_limit_bytes(kept, [runtime], 100 * MIB)
        assert left is not None
        full = StepMemory(3 * MIB, 2 * MIB, 5 * MIB, dict.fromkeys(RUNTIMES, left))
        assert peak_bytes(full, runtime) == 100 * MIB
    assert budget.tensor_limit_bytes(kept, RUNTIMES, 100 * MIB) == min(
        budget.tensor_limit_bytes(kept, [runtime], 100 * MIB) or 0 for runtime in RUNTIMES
    )
    assert budget.tensor_limit_bytes(kept, RUNTIMES, MIB) == 0
