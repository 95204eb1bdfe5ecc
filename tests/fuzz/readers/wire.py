"""What comes over a link: tensors, contributions, messages, frames of the worker, certificates."""

from __future__ import annotations

import contextlib
import datetime
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from readers.frames import joined, split
from readers.target import Target
from tfplus.errors import UsageError
from tfplus.gossip.compression.link import LinkReceiver, LinkSender
from tfplus.gossip.compression.registry import link_codec
from tfplus.gossip.membership.swim.messages import (
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
from tfplus.gossip.transport import coded_parts
from tfplus.gossip.transport.member_wire import from_wire, to_wire
from tfplus.proto.v1 import agent_pb2, gossip_pb2, membership_pb2
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import check_against
from tfplus.wire import roles, tensors
from tfplus.wire.tls import CA_FILE, CERT_FILE, KEY_FILE, TlsFiles
from tfplus_agent.worker import framing, protocol
from tfplus_agent.worker.messages import Alive, Predict, Restore

_VALUES = {
    "shared/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "task/1/b": np.array([1, 2], np.int32),
}
_SHAPES = {name: (value.shape, value.dtype.name) for name, value in _VALUES.items()}
# A request or an answer of each kind, by number.
_MESSAGES: list[Any] = [
    type_
    for file in (agent_pb2, gossip_pb2, membership_pb2, tensors_pb)
    for name, type_ in sorted(vars(file).items())
    if name[0].isupper() and hasattr(type_, "FromString")
]


def _tensor_seeds(folder: Path) -> list[bytes]:
    whole = [part.SerializeToString() for part in tensors.to_parts(_VALUES)]
    known = set(SliceSet.of(_VALUES).hashes().values())
    named = [part.SerializeToString() for part in tensors.to_parts(_VALUES, known=known)]
    return [joined(whole), joined(named), joined(whole[:1])]


def _read_tensors(content: bytes, folder: Path) -> object:
    parts = (tensors_pb.TensorSetPart.FromString(raw) for raw in split(content))
    held = dict(zip(SliceSet.of(_VALUES).hashes().values(), _VALUES.values(), strict=True))
    found = tensors.receive(parts, held=held)
    check_against(found, _SHAPES)
    return found


def _coded(codec: str) -> tuple[LinkSender, list[list[bytes]]]:
    """Two messages of a link, the second a difference."""
    sender, messages = LinkSender(link_codec(codec)), []
    for round in (1, 2):
        packed = sender.pack({"shared/a": np.full((5, 8), round, np.float32)})
        sent = coded_parts.Sent(7, packed, b"")
        messages.append([p.SerializeToString() for p in coded_parts.to_parts(sent)])
        sender.acknowledged(round)
    return sender, messages


def _coded_seeds(folder: Path) -> list[bytes]:
    return [joined(m) for codec in ("int8", "top-k:0.2") for m in _coded(codec)[1]]


def _read_coded(content: bytes, folder: Path) -> object:
    receiver = LinkReceiver()
    for raw in (_coded("int8")[1][0], split(content)):
        sent = coded_parts.from_parts(gossip_pb2.CodedPart.FromString(part) for part in raw)
        found = receiver.unpack(sent.packed)
    return found


def _message_seeds(folder: Path) -> list[bytes]:
    train = agent_pb2.TrainJob(epochs=3, max_steps=9, seed=1)
    job = agent_pb2.JobSpec(train=train)
    plan = agent_pb2.GossipPlan(
        run_id="r", neighbours=[agent_pb2.GossipNeighbour(name="b", address="h:1")], rounds=2
    )
    made = {type(m): m for m in (train, job, plan)}
    return [
        bytes([number]) + made.get(kind, kind()).SerializeToString()
        for number, kind in enumerate(_MESSAGES)
    ]


def _read_message(content: bytes, folder: Path) -> object:
    kind = _MESSAGES[content[0] % len(_MESSAGES)] if content else _MESSAGES[0]
    # As `server.calls` does: whatever the runtime raises is an invalid argument.
    return str(kind.FromString(content[1:]))


def _member_seeds(folder: Path) -> list[bytes]:
    news = (
        Update("me", Status.SUSPECT, 3, "b"),
        Update("b", Status.DEAD, 7, "a"),
        Update("z", Status.ALIVE, 2, address="10.0.0.1:7001"),
    )
    said = [Message(kind, "a", 5, "b", news) for kind in Kind]
    return [joined(to_wire("run", message).SerializeToString() for message in said)]


def _read_members(content: bytes, folder: Path) -> object:
    options = SwimOptions(members_most=8, believes_deaths=False)
    node = SwimNode("me", Roster(["me", "a", "b"]), options, random.Random(1), 1)  # noqa: S311
    node.handle(Joined(0.0))
    for i, raw in enumerate(split(content)):
        message = from_wire(membership_pb2.MembershipMessage.FromString(raw))
        for effect in (*node.handle(Heard(i, message)), *node.handle(Timer(i + 0.5))):
            if isinstance(effect, SendTo):
                # What it says then can be said.
                from_wire(to_wire("run", effect.message))
    assert node.view.size <= options.members_most
    return node.view.believed


def _frame_seeds(folder: Path) -> list[bytes]:
    out = io.BytesIO()
    for message in (Restore(_VALUES), Alive(), Predict(Path("x.npz"))):
        protocol.send(out, message)
    return [out.getvalue()]


def _read_frames(content: bytes, folder: Path) -> object:
    stream, found = io.BytesIO(content), []
    while (message := protocol.receive(stream)) is not None:
        found.append(message)
    return found


def _certificate_seeds(folder: Path) -> list[bytes]:
    from tfplus.wire import certs

    now = datetime.datetime.now(datetime.timezone.utc)
    certs.create_ca(folder / "ca", now)
    certs.issue("a", ["127.0.0.1"], folder / "ca", folder / "a", now)
    files = (folder / "a" / CERT_FILE, folder / "ca" / certs.CA_KEY_FILE)
    return [joined(path.read_bytes() for path in files)]


def _read_certificate(content: bytes, folder: Path) -> object:
    from tfplus.wire import cert_changes, certs

    now = datetime.datetime.now(datetime.timezone.utc)
    certificate, key = (*split(content), b"", b"")[:2]
    for name, part in ((CA_FILE, certificate), (CERT_FILE, certificate), (KEY_FILE, key)):
        (folder / name).write_bytes(part)
    (folder / certs.CA_KEY_FILE).write_bytes(key)
    with contextlib.suppress(UsageError):
        TlsFiles.load(folder)
    # A whole CA beside it, so that more than its own damage is met with.
    ca = folder / "ca"
    certs.create_ca(ca, now)
    for read in (
        lambda: certs.load_ca(folder),
        lambda: cert_changes.renew(folder, ca, now),
        lambda: cert_changes.revoke(folder, folder, now),
    ):
        with contextlib.suppress(UsageError):
            read()
    return roles.fingerprint(certificate)


def _read_revoked(content: bytes, folder: Path) -> object:
    (folder / "revoked.txt").write_bytes(content)
    return roles.read_revoked(folder / "revoked.txt")


def _read_names(content: bytes, folder: Path) -> object:
    role = roles.role_of({"x509_subject_alternative_name": split(content)})
    assert role in roles.ROLES
    return role


TARGETS = (
    Target("tensor-stream", _tensor_seeds, _read_tensors, (DecodeError,)),
    Target("coded-tensors", _coded_seeds, _read_coded, (DecodeError,)),
    Target("member-messages", _member_seeds, _read_members, (DecodeError,)),
    Target("messages", _message_seeds, _read_message, (DecodeError,)),
    Target("worker-frames", _frame_seeds, _read_frames, (framing.FramingError,)),
    Target("certificate", _certificate_seeds, _read_certificate),
    Target("revoked", lambda _: [b"ab" * 32 + b" # a\n\n" + b"0" * 64], _read_revoked),
    Target("certificate-names", lambda _: [joined([b"a", b"urn:tfplus:role:peer"])], _read_names),
)
