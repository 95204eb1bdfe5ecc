"""What others say of third ones cannot be more than those can answer."""

from __future__ import annotations

import random

import pytest

from tfplus.gossip.membership.swim.hearsay import MOST_AHEAD, credible
from tfplus.gossip.membership.swim.messages import (
    Changed,
    Heard,
    Joined,
    Kind,
    Message,
    SendTo,
    Status,
    Timer,
    Update,
)
from tfplus.gossip.membership.swim.node import SwimNode
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.swim.view import Roster

NAMES = ["me", "a", "b", "c"]
WARY = SwimOptions(believes_deaths=False)


def joined(own: str = "me", options: SwimOptions = WARY) -> SwimNode:
    node = SwimNode(own, Roster(NAMES), options, random.Random(1))  # noqa: S311
    node.handle(Joined(0.0))
    return node


@pytest.mark.parametrize("status", [Status.DEAD, Status.LEFT])
def test_the_end_of_another_is_a_suspicion_of_the_teller(status: Status) -> None:
    said, alive = Update("b", status, 3, "c"), Update("b", Status.ALIVE, 3)
    assert credible(said, "a", alive, False) == Update("b", Status.SUSPECT, 3, "a")
    assert credible(said, "a", alive, True) == said
    # Of itself a member knows.
    assert credible(said, "b", alive, False) == said


def test_an_incarnation_that_nobody_could_outbid_is_not_heard() -> None:
    alive = Update("b", Status.ALIVE, 10)
    assert credible(Update("b", Status.DEAD, 10 + MOST_AHEAD), "a", alive, True) is not None
    assert credible(Update("b", Status.DEAD, 11 + MOST_AHEAD), "a", alive, True) is None
    assert credible(Update("b", Status.ALIVE, -1), "a", alive, True) is None
    # Of itself it may: it does itself no good.
    assert credible(Update("b", Status.ALIVE, 11 + MOST_AHEAD), "b", alive, True) is not None


def test_who_is_said_to_be_dead_stays_linked_and_refutes() -> None:
    node, victim = joined(), joined("b")
    lie = Message(Kind.PING, "a", 1, updates=(Update("b", Status.DEAD, 0, "a"),))
    assert Changed("b", Status.SUSPECT, 0) in node.handle(Heard(0.1, lie))
    assert node.view.there("b")
    # The next message to it says so, and its answer says the contrary.
    (ack,) = (
        e.message
        for e in node.handle(Heard(0.2, Message(Kind.PING, "b", 9)))
        if isinstance(e, SendTo)
    )
    answers = victim.handle(Heard(0.3, Message(Kind.PING, "me", 4, updates=ack.updates)))
    (answer,) = (e.message for e in answers if isinstance(e, SendTo))
    assert Changed("b", Status.ALIVE, 1) in node.handle(Heard(0.4, answer))


def test_who_does_not_refute_is_dead_in_the_end() -> None:
    node = joined()
    lie = Message(Kind.PING, "a", 1, updates=(Update("b", Status.DEAD, 0, "a"),))
    node.handle(Heard(0.1, lie))
    at, found = 0.1, []
    while not found and at < 60:
        at = max(at + 1e-9, node.deadline)
        found = [e for e in node.handle(Timer(at)) if e == Changed("b", Status.DEAD, 0)]
    # Nobody answers here, so that it may take its time-outs times as long; but it comes.
    assert found
    assert at >= 0.1 + WARY.suspicion_s(4, 0)


def test_a_view_that_was_asked_for_is_believed_and_one_that_was_not_is_not() -> None:
    dead = Update("b", Status.DEAD, 2, "c")
    for asked in (True, False):
        node = SwimNode("me", Roster(NAMES), WARY, random.Random(1))  # noqa: S311
        (to,) = (
            e.to
            for e in node.handle(Joined(0.0))
            if isinstance(e, SendTo) and e.message.kind is Kind.SYNC
        )
        teller = to if asked else next(n for n in NAMES if n not in ("me", "b", to))
        node.handle(Heard(0.1, Message(Kind.SYNC_REPLY, teller, updates=(dead,))))
        assert node.view.there("b") is not asked


def test_a_goodbye_is_no_answer_to_the_question_for_a_view() -> None:
    node = joined()
    (asked,) = node._asked
    other = next(n for n in NAMES if n not in ("me", asked))
    goodbye = Message(Kind.SYNC_REPLY, other, updates=(Update(other, Status.LEFT, 0),))
    assert Changed(other, Status.LEFT, 0) in node.handle(Heard(0.1, goodbye))
    effects = node.handle(Timer(1.0))
    assert any(isinstance(e, SendTo) and e.message.kind is Kind.SYNC for e in effects)
