from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfplus.errors import DataError
from tfplus.gossip.membership.swim.messages import Kind, Message, Status, Update
from tfplus.gossip.transport.member_wire import (
    MAX_ADDRESS_CHARS,
    MAX_INCARNATION,
    MAX_MEMBERS,
    from_wire,
    to_wire,
)
from tfplus.proto.v1 import membership_pb2 as pb

names = st.text("abcxyz-9", min_size=1, max_size=63)
updates = st.builds(
    Update,
    names,
    st.sampled_from(Status),
    st.integers(0, MAX_INCARNATION),
    st.just("") | names,
    st.sampled_from(["", "10.0.0.1:7001", "[::1]:7"]),
)
messages = st.builds(
    Message,
    st.sampled_from(Kind),
    names,
    st.integers(0, 2**63),
    st.just("") | names,
    st.lists(updates, max_size=9).map(tuple),
)


@settings(derandomize=True, deadline=None)
@given(messages)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    wire = pb.MembershipMessage.FromString(to_wire("run", message).SerializeToString())
    assert wire.run_id == "run"
    assert from_wire(wire) == message


def test_the_statuses_of_the_wire_are_those_of_the_protocol() -> None:
    assert {s.name: s.value for s in Status} == dict(pb.MembershipUpdate.Status.items())


def fine() -> pb.MembershipMessage:
    update = pb.MembershipUpdate(member="b", status=pb.MembershipUpdate.DEAD, incarnation=3)
    return pb.MembershipMessage(
        run_id="run", sender="a", kind=pb.MembershipMessage.PING, updates=[update]
    )


@pytest.mark.parametrize(
    ("says", "spoil"),
    [
        ("kind", lambda m: m.ClearField("kind")),
        ("kind", lambda m: setattr(m, "kind", 99)),
        ("printable name", lambda m: setattr(m, "sender", "")),
        ("printable name", lambda m: setattr(m, "target", "x" * 64)),
        ("printable name", lambda m: setattr(m.updates[0], "member", "a\nb")),
        ("printable name", lambda m: setattr(m.updates[0], "by", "\x00")),
        ("status from 0 to 3", lambda m: setattr(m.updates[0], "status", 4)),
        ("incarnation", lambda m: setattr(m.updates[0], "incarnation", MAX_INCARNATION + 1)),
        ("address", lambda m: setattr(m.updates[0], "address", "x" * (MAX_ADDRESS_CHARS + 1))),
        ("at most 256 updates", lambda m: m.updates.extend([m.updates[0]] * MAX_MEMBERS)),
    ],
)
def test_what_makes_no_sense_is_refused(says: str, spoil: object) -> None:
    message = fine()
    assert from_wire(message).sender == "a"
    spoil(message)  # type: ignore[operator]
    with pytest.raises(DataError, match=says):
        from_wire(message)


def test_a_message_has_a_largest_size() -> None:
    largest = Update("m" * 63, Status.SUSPECT, MAX_INCARNATION, "b" * 63, "x" * MAX_ADDRESS_CHARS)
    whole = Message(Kind.SYNC, "s" * 63, 2**63, "t" * 63, (largest,) * MAX_MEMBERS)
    assert to_wire("r" * 64, whole).ByteSize() < 128 * 1024
    usual = Message(Kind.PING, "s" * 63, 2**63, "", (largest,) * 6)
    assert to_wire("r" * 64, usual).ByteSize() < 3 * 1024
