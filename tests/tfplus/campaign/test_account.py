"""What a journal proves of a campaign."""

from __future__ import annotations

import pytest

from tfplus.campaign import account, journal
from tfplus.campaign.planning import plan_file, schedule
from tfplus.campaign.planning.plan import Plan
from tfplus.errors import UsageError


def events(plan: Plan):
    keys = [run.key for run in schedule.runs(plan, "local")]
    lines = ({"event": e, "key": key} for key in keys for e in ("begin", "done"))
    return [{"event": "start"}, *lines]


def test_a_whole_journal_has_one_result_a_run(measured, plan: Plan) -> None:
    found = account.of(plan, journal.read(measured()))
    assert found.is_complete
    assert (found.planned, found.once, found.ran_by) == (20, 20, {"local": 20})
    assert str(found) == (
        "20 of 20 runs have exactly one result, 0 have more, 0 have none; 1 start, 0 runs cut off "
        "in between"
    )


def test_what_is_missing_double_or_of_another_plan_is_named(plan: Plan) -> None:
    told = events(plan)
    first, last = told[2]["key"], told[-1]["key"]
    found = account.of(plan, [*told[:-1], {"event": "start"}, told[1], told[2]])
    assert (found.missing, found.twice, found.once) == ((last,), (first,), 18)
    assert (found.starts, found.cut_off, found.is_complete) == (2, 1, False)
    strange = {"event": "done", "key": "0/cell/another"}
    found = account.of(plan, [*told, strange])
    assert (found.unknown, found.once, found.is_complete) == (("0/cell/another",), 20, False)


def test_a_failure_that_was_asked_for_again_is_not_a_second_result(plan: Plan) -> None:
    told = events(plan)
    again = {"event": "again", "keys": [told[2]["key"]]}
    assert account.of(plan, [*told, again]).missing == (told[2]["key"],)
    assert account.of(plan, [*told, again, told[1], told[2]]).is_complete


TWO = """
name = "two"
devices = ["a=10.0.0.1:7000", "b=10.0.0.2:7000"]
threads = [1, 4]
phases = ["train"]
device_threads = {{ {0} }}
[[models]]
name = "lenet"
"""


def test_a_device_may_have_its_own_threads() -> None:
    plan = plan_file.parse(TWO.format("b = 2"))
    assert [(c.device, c.threads) for c in plan.cells] == [("a", 1), ("a", 4), ("b", 2)]
    same = plan_file.parse(TWO.format("b = [1, 4]"))
    without = plan_file.parse(TWO.replace("device_threads", "#"))
    assert same.sha256 == without.sha256
    with pytest.raises(UsageError, match=r"device_threads.c: unknown key; expected a, b"):
        plan_file.parse(TWO.format("c = 2"))
    with pytest.raises(UsageError, match=r"device_threads.b: expected numbers from 1 to"):
        plan_file.parse(TWO.format("b = 0"))
