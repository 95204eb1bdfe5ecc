"""The schedule of faults: a pure function of its seed."""

from __future__ import annotations

from collections import Counter

from chaos.faults import MAY_GO_BACK, RESUMES, STRIKES
from chaos.schedule import KINDS, schedule


def test_equal_seeds_give_equal_faults_and_others_do_not() -> None:
    assert schedule(3, 100, 1500) == schedule(3, 100, 1500)
    assert schedule(3, 100, 1500)[:40] == schedule(3, 40, 1500)
    assert schedule(3, 100, 1500) != schedule(4, 100, 1500)


def test_of_so_many_in_a_row_as_there_are_kinds_each_is_one() -> None:
    faults = schedule(0, 4 * len(KINDS), 1000)
    assert [f.number for f in faults] == list(range(1, 4 * len(KINDS) + 1))
    for start in range(0, len(faults), len(KINDS)):
        assert Counter(f.kind for f in faults[start : start + len(KINDS)]) == Counter(KINDS)
    assert all(200 <= f.at_step < 500 and 0 <= f.place < 1 and f.hold_s > 0 for f in faults)
    assert len({f.seed for f in faults}) == len(faults)


def test_every_kind_has_what_it_does() -> None:
    assert set(STRIKES) == set(KINDS)
    assert set(KINDS) > RESUMES | MAY_GO_BACK
