"""What follows on an agent from what members say: links, news, and who is let in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.links import Links, Schedule
from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.swim.messages import Kind, Message, Status, Update
from tfplus.gossip.membership.wiring import Wiring
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.run_members import RunMembers

NAMES = ("a", "b", "c", "d", "e", "f")
LIFE = 1 << 16


class Told:
    """A device's membership, nobody behind it, and what the run was told."""

    def __init__(self, **membership: Any) -> None:
        members = [{"name": n, "address": f"127.0.0.1:{i + 1}"} for i, n in enumerate(NAMES)]
        # Of so long a period that nobody is suspected for not answering.
        fields = {"members": members, "topology": "ring", "period_s": 60.0, **membership}
        plan = pb.GossipPlan(run_id="run", seed=1, membership=fields)
        self.members = RunMembers("a", 1, plan, Link(), lambda: (0, SliceSet({})))
        self.links: list[tuple[Schedule, frozenset[str]]] = []
        self.admitted: list[Member] = []
        self.members.on_links = lambda schedule, all_: self.links.append((schedule, all_))
        self.members.on_admitted = self.admitted.append
        self.members.join()

    def hear(self, sender: str, *updates: Update, kind: Kind = Kind.PING) -> None:
        self.members.hear(Message(kind, sender, 1, updates=updates))

    def leaves(self, name: str) -> None:
        self.hear(name, Update(name, Status.LEFT, LIFE), kind=Kind.SYNC_REPLY)

    @property
    def asked(self) -> str:
        """Whom it asked for what it believes."""
        (name,) = self.members._member._node._asked
        return name


@pytest.fixture
def make() -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def one(**membership: Any) -> Told:
        made.append(Told(**membership))
        return made[-1]

    yield one
    for told in made:
        told.members.close()


def test_links_follow_from_who_is_there(make: Callable[..., Told]) -> None:
    told = make()
    assert told.members.neighbours == ("f", "b")
    told.leaves("b")
    told.leaves("d")
    others = frozenset(NAMES) - {"a"}
    # That 'd' has gone changes nothing for 'a'.
    assert told.links == [((Links.both(("f", "c")),), others)]
    assert told.members.take_news() == ["'b' has left", "linked with c, f", "'d' has left"]
    assert told.members.take_news() == []
    told.hear("c", Update("b", Status.ALIVE, 2 * LIFE))
    assert told.links[1] == ((Links.both(("f", "b")),), others)
    states = {m.name: m.state for m in told.members.states()}
    assert list(states) == list(NAMES[1:])
    assert (states["b"], states["d"]) == (pb.GossipMember.ALIVE, pb.GossipMember.LEFT)


def test_links_that_fall_apart_are_said(make: Callable[..., Told]) -> None:
    circle = Wiring("random-regular", 2, 1).among(NAMES, NAMES)
    # Both neighbours of one: it is alone, and so are the others without it.
    alone = next(n for n in NAMES if n != "a" and n not in circle["a"])
    told = make(topology="random-regular", degree=2)
    first, second = (n for n in circle[alone])
    told.leaves(first)
    assert not any("parts" in text for text in told.members.take_news())
    told.leaves(second)
    (text,) = (t for t in told.members.take_news() if "parts" in t)
    assert text.startswith("the links of those who are there fall into 2 parts: ")
    assert text.endswith(f" | {alone}")


def test_where_most_are_held_for_dead_it_is_said_that_they_may_go_on(
    make: Callable[..., Told],
) -> None:
    told = make()
    dead = [n for n in NAMES if n not in ("a", told.asked)][:3]
    updates = (Update(name, Status.DEAD, LIFE, "x") for name in dead)
    told.hear(told.asked, *updates, kind=Kind.SYNC_REPLY)
    few = "3 of 6 members are held for dead: they may go on by themselves, cut off from these"
    assert told.members.take_news().count(few) == 1
    told.hear("b", Update(dead[0], Status.ALIVE, 2 * LIFE))
    assert few not in told.members.take_news()


def test_nobody_is_dead_because_another_says_so(make: Callable[..., Told]) -> None:
    told = make()
    told.hear("c", Update("b", Status.DEAD, LIFE, "c"), Update("f", Status.LEFT, LIFE))
    assert told.links == []
    assert told.members.neighbours == ("f", "b")
    states = {m.name: m.state for m in told.members.states()}
    assert states["b"] == states["f"] == pb.GossipMember.SUSPECT


def test_who_is_admitted_is_linked_once_it_is_there(make: Callable[..., Told]) -> None:
    told = make()
    told.members.admit("bb", "127.0.0.1:77")
    told.members.admit("aa", "127.0.0.1:78")
    assert told.admitted == [Member("bb", "127.0.0.1:77"), Member("aa", "127.0.0.1:78")]
    assert told.members.knows("bb")
    assert told.members.names == (*NAMES, "aa", "bb")
    assert told.members.neighbours == ("f", "b")
    assert told.links[-1][1] == {*NAMES, "aa", "bb"} - {"a"}
    told.hear("bb", Update("bb", Status.ALIVE, LIFE))
    assert told.members.neighbours == ("bb", "b")


def test_nobody_is_admitted_whom_plaintext_must_not_be_sent_to(make: Callable[..., Told]) -> None:
    told = make()
    for address in ("192.0.2.1:7001", "nowhere"):
        told.hear("b", Update("z", Status.ALIVE, LIFE, address=address))
        with pytest.raises(UsageError):
            told.members.admit("z", address)
    assert not told.members.knows("z")
    told.hear("b", Update("z", Status.ALIVE, LIFE, address="127.0.0.1:9"))
    assert told.members.knows("z")
    assert told.members.neighbours == ("z", "b")


def test_where_links_are_not_made_anew_nobody_joins(make: Callable[..., Told]) -> None:
    told = make(topology="exponential")
    with pytest.raises(
        UsageError, match=r"'exponential': others can join where .* ring, line, star"
    ):
        told.members.admit("z", "127.0.0.1:9")
    told.hear("b", Update("z", Status.ALIVE, LIFE, address="127.0.0.1:9"))
    assert not told.members.knows("z")


def test_one_that_rests_answers_and_asks_nobody(make: Callable[..., Told]) -> None:
    told = make()
    sent: list[tuple[str, Kind]] = []
    told.members._links.send = lambda e: sent.append((e.to, e.message.kind))  # type: ignore[method-assign]
    told.members.rest()
    told.hear("b")
    told.hear("c", kind=Kind.PING_REQUEST)
    told.hear("d", kind=Kind.SYNC)
    assert sent == [("b", Kind.ACK), ("d", Kind.SYNC_REPLY)]
