"""What a device believes of the members of a run, in words and as the wire has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tfplus.gossip.membership.swim.messages import Changed, Status, Update
from tfplus.proto.v1 import agent_pb2 as pb

_STATES = {
    Status.ALIVE: pb.GossipMember.ALIVE,
    Status.SUSPECT: pb.GossipMember.SUSPECT,
    Status.DEAD: pb.GossipMember.DEAD,
    Status.LEFT: pb.GossipMember.LEFT,
}
_WORDS = {
    Status.ALIVE: "is there",
    Status.SUSPECT: "does not answer, and is suspected",
    Status.DEAD: "is held for dead",
    Status.LEFT: "has left",
}
_MOST_NAMED = 8


def members(believed: Iterable[Update]) -> list[pb.GossipMember]:
    """Views of members as the wire has them."""
    return [
        pb.GossipMember(name=u.member, state=_STATES[u.status], incarnation=u.incarnation)
        for u in believed
    ]


def changed(change: Changed) -> str:
    """What has become of a member."""
    return f"'{change.member}' {_WORDS[change.status]}"


def linked(neighbours: Sequence[str]) -> str:
    """Whom this device is linked with now."""
    return f"linked with {_few(neighbours)}" if neighbours else "linked with nobody"


def apart(parts: Sequence[Collection[str]]) -> str:
    """That the links of those who are there do not hang together."""
    named = " | ".join(_few(part) for part in parts)
    return f"the links of those who are there fall into {len(parts)} parts: {named}"


def few(dead: int, members: int) -> str:
    """That more members are held for dead than are there beside this one."""
    return (
        f"{dead} of {members} members are held for dead: they may go on by themselves, cut off "
        "from these"
    )


def _few(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")
