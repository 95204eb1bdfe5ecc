"""The table of who may begin, written down once more, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfplus_agent.jobs.decisions import (
    Ask,
    Decision,
    Kind,
    Use,
    Verdict,
    arrive,
    decide,
    leave,
    settle,
    step_aside,
)

S, W, R = Verdict.START, Verdict.WAIT, Verdict.REFUSE
RUN = Ask(1, "gossip run 'x'", Kind.RESERVATION)
SHORT = Ask(2, "evaluating", Kind.READ)
LONG = Ask(3, "training", Kind.CHANGE, long=True)
VISITED = replace(LONG, number=4, steps_aside=True)
ITS_SHORT, ITS_LONG = replace(SHORT, under=1), replace(LONG, under=1)

READ = Ask(10, "reading weights", Kind.READ)
CHANGE = Ask(11, "loading a model", Kind.CHANGE)
TRAIN = Ask(12, "training", Kind.CHANGE, long=True)
OTHER_RUN = Ask(13, "gossip run 'y'", Kind.RESERVATION)
JOB = Ask(14, "job 1", Kind.RESERVATION, patient=True)
OWN_READ = Ask(15, "reading weights", Kind.READ, under=1)
OWN_TRAIN = Ask(16, "training", Kind.CHANGE, long=True, under=1)
OWN_LAST = replace(OWN_TRAIN, number=17, last=True)
ASKS = (READ, CHANGE, TRAIN, OTHER_RUN, JOB, OWN_READ, OWN_TRAIN, OWN_LAST)

FREE = Use()
HELD = Use(reserved=RUN)
WITHDRAWN = Use(reserved=RUN, withdrawn=frozenset({1}))
ENDING = Use(ending=True)
TABLE = [
    (FREE, (S, S, S, S, S, None, None, None)),
    (Use(running=SHORT), (W, W, W, W, W, None, None, None)),
    (Use(running=LONG), (R, R, R, R, W, None, None, None)),
    (Use(running=VISITED), (W, R, R, R, W, None, None, None)),
    # One that has stepped aside, alone and while somebody reads.
    (Use(aside=VISITED), (S, R, R, R, W, None, None, None)),
    (Use(aside=VISITED, running=SHORT), (W, R, R, R, W, None, None, None)),
    (HELD, (S, R, R, R, W, S, S, S)),
    (replace(HELD, running=SHORT), (W, R, R, R, W, W, W, W)),
    (replace(HELD, running=ITS_SHORT), (W, R, R, R, W, W, W, W)),
    (replace(HELD, running=ITS_LONG), (R, R, R, R, W, W, W, W)),
    (WITHDRAWN, (S, R, R, R, W, R, R, S)),
    (ENDING, (R, R, R, R, R, R, R, R)),
    (replace(HELD, ending=True), (R, R, R, R, R, R, R, R)),
]


@pytest.mark.parametrize(("use", "expected"), TABLE)
def test_who_starts_who_waits_and_who_is_refused(
    use: Use, expected: tuple[Verdict | None, ...]
) -> None:
    for ask, verdict in zip(ASKS, expected, strict=True):
        if verdict is not None:
            assert decide(use, ask).verdict is verdict, (use, ask)


def test_a_refusal_says_what_is_in_the_way() -> None:
    assert decide(Use(running=LONG), READ).because == "training is under way on this agent"
    held = "gossip run 'x' is under way on this agent: wait for its end, or stop it"
    # The reservation, and not what it does right now, is what lasts.
    assert decide(replace(HELD, running=ITS_LONG), TRAIN).because == held
    assert decide(WITHDRAWN, OWN_TRAIN) == Decision(R, "it was stopped", withdrawn=True)
    assert "closing" in decide(ENDING, READ).because


def queue(use: Use, *asks: Ask) -> Use:
    for ask in asks:
        use = arrive(use, ask)
    return use


def test_the_first_who_may_begin_begins() -> None:
    use, refused = settle(queue(Use(running=SHORT), CHANGE, READ))
    assert (use.running, use.waiting, refused) == (SHORT, (CHANGE, READ), [])
    use, _ = settle(leave(use, SHORT))
    assert (use.running, use.waiting) == (CHANGE, (READ,))
    use, _ = settle(leave(use, CHANGE))
    assert (use.running, use.waiting) == (READ, ())


def test_who_waited_is_refused_once_something_long_or_reserved_begins() -> None:
    use, refused = settle(leave(queue(Use(running=SHORT), TRAIN, READ), SHORT))
    assert (use.running, use.waiting) == (TRAIN, ())
    assert [a for a, _ in refused] == [READ]
    use, refused = settle(leave(queue(Use(running=SHORT), OTHER_RUN, CHANGE, READ), SHORT))
    assert (use.reserved, use.running, use.waiting) == (OTHER_RUN, READ, ())
    assert [a for a, _ in refused] == [CHANGE]


def test_the_patient_wait_in_order_and_hold_nobody_up() -> None:
    second = replace(JOB, number=20, what="job 2")
    use, refused = settle(queue(HELD, JOB, second, READ))
    # The read goes past the two that cannot begin.
    assert (use.running, use.waiting, refused) == (READ, (JOB, second), [])
    use, _ = settle(leave(leave(use, READ), RUN))
    assert (use.reserved, use.waiting) == (JOB, (second,))
    use, _ = settle(leave(use, JOB))
    assert (use.reserved, use.waiting) == (second, ())


def test_one_that_steps_aside_goes_on_behind_those_who_waited() -> None:
    late, late_change = replace(READ, number=21), replace(CHANGE, number=22)
    use, refused = settle(step_aside(queue(Use(running=VISITED), SHORT, READ), VISITED))
    assert (use.running, use.waiting, refused) == (SHORT, (READ, VISITED), [])
    use, refused = settle(leave(queue(use, late, late_change), SHORT))
    assert (use.running, use.aside, [a for a, _ in refused]) == (READ, VISITED, [late_change])
    use, _ = settle(leave(replace(use, ending=True), READ))
    # Also where the agent ends meanwhile; who came later waits for the next time.
    assert (use.running, use.aside) == (VISITED, None)


def test_the_end_refuses_all_who_wait() -> None:
    use, refused = settle(replace(queue(HELD, JOB), ending=True))
    assert use.waiting == ()
    assert [a for a, _ in refused] == [JOB]
