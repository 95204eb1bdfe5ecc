"""Messages of SWIM as the wire has them, and back: what comes is checked, and capped."""

from __future__ import annotations

from tfplus.errors import DataError
from tfplus.gossip.membership.swim.messages import Kind, Message, Status, Update
from tfplus.proto.v1 import membership_pb2 as pb

# Of one run on agents; a whole view, the largest message, has an update of each.
MAX_MEMBERS = 256
MAX_NAME_CHARS = 63
# A host name has at most 253 characters.
MAX_ADDRESS_CHARS = 260
# Lives of a member, times what it refutes in one; far below what a message can say.
MAX_INCARNATION = 2**62

_KINDS = {
    Kind.PING: pb.MembershipMessage.PING,
    Kind.PING_REQUEST: pb.MembershipMessage.PING_REQUEST,
    Kind.ACK: pb.MembershipMessage.ACK,
    Kind.NACK: pb.MembershipMessage.NACK,
    Kind.SYNC: pb.MembershipMessage.SYNC,
    Kind.SYNC_REPLY: pb.MembershipMessage.SYNC_REPLY,
}
_OF_WIRE = {number: kind for kind, number in _KINDS.items()}


def to_wire(run_id: str, message: Message) -> pb.MembershipMessage:
    """A message of a run as the wire has it."""
    return pb.MembershipMessage(
        run_id=run_id,
        sender=message.sender,
        kind=_KINDS[message.kind],
        sequence=message.sequence,
        target=message.target,
        updates=[
            pb.MembershipUpdate(
                member=update.member,
                status=pb.MembershipUpdate.Status.Name(update.status),
                incarnation=update.incarnation,
                by=update.by,
                address=update.address,
            )
            for update in message.updates
        ],
    )


def from_wire(message: pb.MembershipMessage) -> Message:
    """Reads a message.

    Raises:
      DataError: it is of no known kind, or above a cap: what was expected, and what came.
    """
    kind = _OF_WIRE.get(message.kind)
    if kind is None:
        raise DataError(
            f"membership: expected a kind from 1 to {len(_OF_WIRE)}, got {message.kind}"
        )
    if len(message.updates) > MAX_MEMBERS:
        raise DataError(
            f"membership: expected at most {MAX_MEMBERS} updates, got {len(message.updates)}"
        )
    if message.target:
        check_name(message.target)
    return Message(
        kind,
        check_name(message.sender),
        message.sequence,
        message.target,
        tuple(map(_update, message.updates)),
    )


def check_name(name: str) -> str:
    """Returns a member's name that is one.

    Raises:
      DataError: it is empty, long, or not printable.
    """
    if not (0 < len(name) <= MAX_NAME_CHARS and name.isprintable()):
        raise DataError(
            f"member {name[:80]!r}: expected a printable name of 1 to {MAX_NAME_CHARS} characters"
        )
    return name


def _update(update: pb.MembershipUpdate) -> Update:
    if update.status not in pb.MembershipUpdate.Status.values():
        raise DataError(f"membership: expected a status from 0 to 3, got {update.status}")
    if update.incarnation > MAX_INCARNATION:
        raise DataError(
            f"membership: expected an incarnation up to {MAX_INCARNATION}, got {update.incarnation}"
        )
    if len(update.address) > MAX_ADDRESS_CHARS or not update.address.isprintable():
        raise DataError(
            f"membership: expected an address of at most {MAX_ADDRESS_CHARS} printable characters, "
            f"got {update.address[:80]!r}"
        )
    return Update(
        check_name(update.member),
        Status(update.status),
        update.incarnation,
        check_name(update.by) if update.by else "",
        update.address,
    )
