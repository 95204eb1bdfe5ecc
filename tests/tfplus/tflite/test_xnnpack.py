"""What XNNPACK takes; `tests/export/commands/test_delegates.py` asks the delegate itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tfplus.tflite.xnnpack import Obstacle, obstacle


@dataclass(frozen=True)
class Operand:
    is_float: bool = True
    is_constant: bool = False
    rank: int = 2


X, FILTER, INDEX = Operand(), Operand(is_constant=True), Operand(is_float=False)
AXIS = Operand(is_float=False, is_constant=True, rank=1)


@pytest.mark.parametrize(
    ("name", "reads", "expected"),
    [
        ("ADD", [X, X], None),
        ("GREATER", [X, X], Obstacle.NO_SUCH_OPERATOR),
        ("CONV_2D", [X, FILTER], None),
        ("CONV_2D", [X, X], Obstacle.COMPUTED_FILTER),
        ("BATCH_MATMUL", [X, X], None),
        ("MUL", [X, INDEX], Obstacle.TYPE),
        ("SUM", [X, AXIS], None),
        ("SUM", [X, INDEX], Obstacle.COMPUTED_PARAMETER),
        ("CONCATENATION", [X] * 5, None),
        ("CONCATENATION", [X] * 6, Obstacle.TOO_MANY_JOINED),
        ("MUL", [Operand(rank=7), X], Obstacle.RANK),
        ("READ_VARIABLE", [INDEX], None),
        ("CALL_ONCE", [], Obstacle.NO_SUCH_OPERATOR),
    ],
)
def test_what_keeps_an_operator_out(
    name: str, reads: list[Operand], expected: Obstacle | None
) -> None:
    assert obstacle(name, reads, [X]) is expected
