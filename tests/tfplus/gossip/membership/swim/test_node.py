from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfplus.errors import UsageError
from tfplus.gossip.membership.swim.messages import (
    Changed,
    Effect,
    Heard,
    Joined,
    Kind,
    Leave,
    Message,
    SendTo,
    Status,
    Timer,
    Update,
)
from tfplus.gossip.membership.swim.node import SwimNode
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.swim.view import Roster, View

NAMES = ["me", "a", "b", "c", "d"]


def joined(options: SwimOptions | None = None, names: list[str] = NAMES) -> SwimNode:
    rng = random.Random(1)  # noqa: S311
    node = SwimNode("me", Roster(names), options or SwimOptions(), rng)
    node.handle(Joined(0.0))
    return node


def sent(effects: list[Effect], kind: Kind) -> list[SendTo]:
    return [e for e in effects if isinstance(e, SendTo) and e.message.kind is kind]


def tells(node: SwimNode, update: Update, by: str = "a", now: float = 0.1) -> list[Effect]:
    return node.handle(Heard(now, Message(Kind.PING, by, 1, updates=(update,))))


def test_who_does_not_answer_is_asked_for_by_others_then_suspected_then_dead() -> None:
    node = joined()
    target = node._probe.target
    asked = node.handle(Timer(0.5))
    requests = sent(asked, Kind.PING_REQUEST)
    assert len(requests) == 3
    assert {r.message.target for r in requests} == {target}
    assert target not in {r.to for r in requests}
    effects = node.handle(Timer(1.0))
    assert Changed(target, Status.SUSPECT, 0) in effects
    # Asked three, and none of them said a word: the node itself may be cut off.
    assert node.health == 3
    wait_s = node.options.suspicion_s(5, 0)
    before = node.handle(Timer(1.0 + wait_s - 0.01))
    assert Changed(target, Status.DEAD, 0) not in before
    assert Changed(target, Status.DEAD, 0) in node.handle(Timer(1.0 + wait_s))


def test_an_answer_by_way_of_another_counts_and_nacks_keep_the_node_well() -> None:
    node = joined()
    target, sequence = node._probe.target, node._probe.sequence
    node.handle(Timer(0.5))
    others = [n for n in NAMES if n not in ("me", target)]
    node.handle(Heard(0.9, Message(Kind.ACK, others[0], sequence)))
    assert node.view.of(target).status is Status.ALIVE or not node.handle(Timer(1.0))
    silent = joined()
    sequence = silent._probe.sequence
    silent.handle(Timer(0.5))
    for other in others:
        silent.handle(Heard(0.9, Message(Kind.NACK, other, sequence)))
    silent.handle(Timer(1.0))
    assert silent.view.of(target).status is Status.SUSPECT
    assert silent.health == 0


def test_a_proxy_pings_and_brings_the_answer_or_a_nack() -> None:
    node = joined()
    effects = node.handle(Heard(0.1, Message(Kind.PING_REQUEST, "a", 77, "b")))
    (ping,) = [s for s in sent(effects, Kind.PING) if s.to == "b"]
    answer = node.handle(Heard(0.2, Message(Kind.ACK, "b", ping.message.sequence)))
    (ack,) = sent(answer, Kind.ACK)
    assert (ack.to, ack.message.sequence) == ("a", 77)
    node.handle(Heard(0.3, Message(Kind.PING_REQUEST, "a", 78, "c")))
    (nack,) = sent(node.handle(Timer(0.3 + 0.4)), Kind.NACK)
    assert (nack.to, nack.message.sequence) == ("a", 78)


def test_a_suspect_hears_of_it_first_and_refutes() -> None:
    node = joined()
    tells(node, Update("b", Status.SUSPECT, 4, "a"))
    answer = node.handle(Heard(0.2, Message(Kind.PING, "b", 9)))
    (ack,) = sent(answer, Kind.ACK)
    assert ack.message.updates[0] == Update("b", Status.SUSPECT, 4, "a")
    suspect = SwimNode("b", Roster(NAMES), SwimOptions(), random.Random(0))  # noqa: S311
    suspect.handle(Joined(0.0))
    effects = tells(suspect, Update("b", Status.SUSPECT, 4, "a"))
    (ack,) = sent(effects, Kind.ACK)
    assert Update("b", Status.ALIVE, 5) in ack.message.updates
    assert suspect.health == 1
    assert tells(node, Update("b", Status.ALIVE, 5))[0] == Changed("b", Status.ALIVE, 5)
    # What is older changes nothing any more.
    assert tells(node, Update("b", Status.DEAD, 4))[0] != Changed("b", Status.DEAD, 4)
    assert node.view.of("b").status is Status.ALIVE


def test_who_comes_back_after_a_week_learns_what_was_said_and_is_a_member_again() -> None:
    node = joined()
    tells(node, Update("b", Status.DEAD, 3, "a"))
    assert not node.view.there("b")
    back = SwimNode("b", Roster(NAMES), SwimOptions(), random.Random(0))  # noqa: S311
    (sync,) = sent(back.handle(Joined(604_800.0)), Kind.SYNC)
    effects = node.handle(Heard(604_800.0, sync.message))
    (reply,) = sent(effects, Kind.SYNC_REPLY)
    back.handle(Heard(604_800.1, reply.message))
    assert back.incarnation == 4
    ping = Message(Kind.PING, "b", 1, updates=back._whole_view())
    assert Changed("b", Status.ALIVE, 4) in node.handle(Heard(604_800.2, ping))


def test_who_leaves_says_so_and_is_not_suspected_for_it() -> None:
    leaver = joined()
    told = sent(leaver.handle(Leave(0.5)), Kind.SYNC_REPLY)
    assert told
    assert leaver.deadline == float("inf")
    node = SwimNode("a", Roster(NAMES), SwimOptions(), random.Random(0))  # noqa: S311
    node.handle(Joined(0.0))
    effects = node.handle(Heard(0.6, told[0].message))
    assert Changed("me", Status.LEFT, 0) in effects
    assert node.view.dead == []


def test_messages_stay_bounded_whatever_happens() -> None:
    names = ["me", *(f"n{i}" for i in range(500))]
    node = joined(SwimOptions(updates=6), names)
    for i in range(500):
        tells(node, Update(f"n{i}", Status.SUSPECT, 1, "n0"), by="n1")
    effects = node.handle(Heard(0.2, Message(Kind.PING, "n9", 3)))
    (ack,) = sent(effects, Kind.ACK)
    assert len(ack.message.updates) == 6
    for i in range(200):
        node.handle(Heard(0.2, Message(Kind.PING_REQUEST, "n1", i, "n2")))
    assert len(node._relays) == 64


def test_each_update_goes_along_a_bounded_number_of_times() -> None:
    node = joined()
    tells(node, Update("b", Status.ALIVE, 7))
    times = 0
    for i in range(50):
        (ack,) = sent(node.handle(Heard(0.2, Message(Kind.PING, "a", i))), Kind.ACK)
        times += sum(u.member == "b" for u in ack.message.updates)
    # λ ⌈log10(n + 1)⌉ = 4, of which one went with the answer to the message that brought it.
    assert times == 3


updates = st.builds(
    Update,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Status),
    st.integers(0, 3),
    st.just("c"),
)


@settings(derandomize=True, deadline=None)
@given(st.lists(updates, max_size=12), st.randoms(use_true_random=False))
def test_views_agree_in_whatever_order_news_arrive(news: list[Update], rng: random.Random) -> None:
    once, again = View("me", Roster(NAMES)), View("me", Roster(NAMES))
    shuffled = [*news, *rng.sample(news, len(news) // 2)]
    rng.shuffle(shuffled)
    for update in news:
        once.merge(update)
    for update in shuffled:
        again.merge(update)
    for name in ("a", "b"):
        assert once.of(name).order == again.of(name).order
    assert once.count == again.count == 1 + sum(once.there(n) for n in NAMES[1:])


@pytest.mark.parametrize("wrong", [{"ack_timeout_s": 1.0}, {"proxies": -1}, {"updates": 0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SwimOptions(**wrong)  # type: ignore[arg-type]


def test_a_stranger_is_not_heard() -> None:
    node = joined()
    assert node.handle(Heard(0.1, Message(Kind.PING, "mallory", 1))) == []
    tells(node, Update("mallory", Status.ALIVE, 9))
    assert not node.view.knows("mallory")
