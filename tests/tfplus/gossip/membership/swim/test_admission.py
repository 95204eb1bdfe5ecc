"""Members who were not there at the beginning."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from tfplus.gossip.membership.swim.messages import (
    Admit,
    Admitted,
    Changed,
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
from tfplus.gossip.membership.swim.view import Roster

NAMES = ["a", "b", "c"]
OPEN = SwimOptions(members_most=5, believes_deaths=False, sync_periods=5)
WHERE = "10.0.0.5:7005"


class Group:
    """Members on a network without delay, and a clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lost: Callable[[SendTo], bool] = lambda _: False
        self.nodes = {n: self._node(n, Roster(NAMES)) for n in NAMES}
        self.told: dict[str, list[object]] = {n: [] for n in NAMES}
        for name in NAMES:
            self.feed(name, Joined(0.0))

    def _node(self, name: str, roster: Roster, address: str = "") -> SwimNode:
        return SwimNode(name, roster, OPEN, random.Random(name), 1, address)  # noqa: S311

    def newcomer(self, name: str) -> None:
        self.nodes[name] = self._node(name, Roster((*NAMES, name)), WHERE)
        self.told[name] = []
        self.feed(name, Joined(self.now))

    def feed(self, name: str, event: object) -> None:
        waiting = deque([(name, event)])
        while waiting:
            whose, what = waiting.popleft()
            for effect in self.nodes[whose].handle(what):  # type: ignore[arg-type]
                if not isinstance(effect, SendTo):
                    self.told[whose].append(effect)
                elif effect.to in self.nodes and not self.lost(effect):
                    waiting.append((effect.to, Heard(self.now, effect.message)))

    def until(self, at: float) -> None:
        while (due := min(n.deadline for n in self.nodes.values())) <= at:
            self.now = max(self.now, due)
            for name, node in list(self.nodes.items()):
                if node.deadline <= self.now:
                    self.feed(name, Timer(self.now))
        self.now = at


def test_who_is_admitted_is_known_to_all_and_there_once_it_says_so() -> None:
    group = Group()
    group.feed("a", Admit(0.0, "z", WHERE))
    assert group.told["a"][-1] == Admitted("z", WHERE)
    group.until(6.0)
    for name in NAMES:
        view = group.nodes[name].view
        assert Admitted("z", WHERE) in group.told[name]
        assert not view.there("z")
        assert (view.count, view.size) == (3, 4)
    group.newcomer("z")
    group.until(12.0)
    for name in NAMES:
        assert Changed("z", Status.ALIVE, 1) in group.told[name]
        assert group.nodes[name].view.count == 4
    assert all(group.nodes["z"].view.there(name) for name in NAMES)


def test_who_is_not_known_yet_is_known_by_what_it_says_of_itself_to_others() -> None:
    node = SwimNode("a", Roster(NAMES), OPEN, random.Random(1), 1)  # noqa: S311
    node.handle(Joined(0.0))
    news = (Update("z", Status.ALIVE, 7, address=WHERE),)
    effects = node.handle(Heard(0.1, Message(Kind.PING, "b", 1, updates=news)))
    assert effects[:2] == [Admitted("z", WHERE), Changed("z", Status.ALIVE, 7)]
    # And goes on so, with where it is reached.
    (ack,) = [e.message for e in effects if isinstance(e, SendTo)]
    assert news[0] in ack.updates


def test_an_address_is_said_once() -> None:
    node = SwimNode("a", Roster(NAMES), OPEN, random.Random(1), 1)  # noqa: S311
    node.handle(Joined(0.0))
    node.handle(Admit(0.1, "z", WHERE))
    for liar in (
        Update("z", Status.ALIVE, 8, address="evil:1"),
        Update("b", Status.ALIVE, 8, address="evil:1"),
    ):
        effects = node.handle(Heard(0.2, Message(Kind.PING, "c", 1, updates=(liar,))))
        assert not any(isinstance(e, Admitted) for e in effects)
    assert node.view.of("z").address == WHERE
    assert node.view.of("b").address == ""


def test_no_more_are_admitted_than_there_may_be() -> None:
    node = SwimNode("a", Roster(NAMES), OPEN, random.Random(1), 1)  # noqa: S311
    node.handle(Joined(0.0))
    news = tuple(Update(f"z{i}", Status.ALIVE, 1, address=WHERE) for i in range(9))
    node.handle(Heard(0.1, Message(Kind.PING, "b", 1, updates=news)))
    assert node.view.size == OPEN.members_most
    closed = SwimNode("a", Roster(NAMES), SwimOptions(), random.Random(1), 1)  # noqa: S311
    closed.handle(Joined(0.0))
    closed.handle(Heard(0.1, Message(Kind.PING, "b", 1, updates=news)))
    assert closed.view.size == 3


def test_who_was_admitted_can_leave_and_come_back() -> None:
    group = Group()
    group.feed("a", Admit(0.0, "z", WHERE))
    group.newcomer("z")
    group.until(6.0)
    group.feed("z", Leave(6.0))
    del group.nodes["z"]
    group.until(8.0)
    assert not any(group.nodes[name].view.there("z") for name in NAMES)
    again = SwimNode("z", Roster((*NAMES, "z")), OPEN, random.Random(9), 2, WHERE)  # noqa: S311
    group.nodes["z"] = again
    group.feed("z", Joined(8.0))
    group.until(14.0)
    assert all(group.nodes[name].view.there("z") for name in NAMES)


def test_who_missed_all_news_of_a_member_hears_of_it_after_all() -> None:
    group = Group()

    def news_to_c(effect: SendTo) -> bool:
        whole = effect.message.kind in (Kind.SYNC, Kind.SYNC_REPLY)
        about = any(u.member == "z" for u in effect.message.updates)
        return effect.to == "c" and about and (group.now < 4 or not whole)

    group.lost = news_to_c
    group.feed("a", Admit(0.0, "z", WHERE))
    group.until(0.5)
    group.newcomer("z")
    group.until(20.0)
    assert [group.nodes[name].view.count for name in NAMES] == [4, 4, 4]
