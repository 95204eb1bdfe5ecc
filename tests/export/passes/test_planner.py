"""The memory planner: a worked example, and bounds that hold for any tensors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tfplus_export.passes.memory.planner import Lifetime, planned_bytes

KIB = 1024


def test_the_largest_come_first_and_share_what_others_left() -> None:
    # A chain of four: neighbours live together, the others may share a place.
    chain = [Lifetime(size * KIB, i, i + 1) for i, size in enumerate((8, 2, 6, 4))]
    assert planned_bytes(chain) == (8 + 2) * KIB
    # One that lives throughout lies beside all of them.
    assert planned_bytes([*chain, Lifetime(KIB, -1, 9)]) == (8 + 2 + 1) * KIB
    # A gap that fits is taken: of 3 and 5 KiB free, the smaller one.
    kept = [Lifetime(size * KIB, first, 9) for size, first in ((9, 0), (7, 0), (6, 0))]
    gone = [Lifetime(8 * KIB, 0, 3), Lifetime(2 * KIB, 5, 9)]
    assert planned_bytes([*kept, *gone]) == (9 + 8 + 7 + 6) * KIB


def test_nothing_needs_nothing() -> None:
    assert planned_bytes([]) == 0
    assert planned_bytes([Lifetime(0, 0, 5)]) == 0


tensors = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(1, 1000),
    st.integers(-1, 20),
    st.integers(0, 10),
)


@given(st.lists(tensors, max_size=25))
def test_it_lies_between_the_most_that_lives_at_once_and_the_sum(found: list[Lifetime]) -> None:
    def padded(tensor: Lifetime) -> int:
        return -(-tensor.size_bytes // 64) * 64

    at_once = [sum(padded(t) for t in found if t.first <= time <= t.last) for time in range(-1, 32)]
    assert max(at_once) <= planned_bytes(found) <= sum(padded(t) for t in found)
