"""The messages of `Gossip.Exchange` as they cross the wire: chunks do so without protobuf."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, TypeAlias

import grpc

from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus.wire import parts
from tfplus.wire.limits import Limits
from tfplus.wire.tensors import to_messages

METHOD = "/tfplus.proto.v1.Gossip/Exchange"

ExchangePart: TypeAlias = pb.ExchangePart | memoryview
"""A message, or the bytes of a chunk where they lie in what came."""

_TENSORS = pb.ExchangePart.TENSORS_FIELD_NUMBER


def method(channel: grpc.Channel) -> Any:
    """The call, which takes messages as bytes; the generated stub would copy every chunk."""
    return channel.stream_unary(METHOD, response_deserializer=pb.ExchangeReply.FromString)


def messages(tensors: Tensors, known: Container[bytes], limits: Limits) -> Iterator[bytes]:
    """Tensors behind a contribution's header; see `to_messages`."""
    return to_messages(tensors, known=known, limits=limits, within=_TENSORS)


def decoded(message: bytes) -> ExchangePart:
    """A message that came; see `parts.decoded`."""
    chunk = parts.chunk_in(message, _TENSORS)
    return pb.ExchangePart.FromString(message) if chunk is None else chunk


def size_bytes(part: ExchangePart) -> int:
    """Of the message that a part came in."""
    return memoryview(part.obj).nbytes if isinstance(part, memoryview) else part.ByteSize()
