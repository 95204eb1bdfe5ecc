"""Messages of a step as parts of a stream that lives as long as two devices work together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tiles.step.messages import KINDS, Key, Kind, Message
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tensors import receive, to_parts

_VALUES = "values"


def parts_of(run_id: str, message: Message) -> Iterator[pb.DeliverPart]:
    """A message as parts."""
    key = message.key
    part = pb.DeliverPart(
        header=pb.DeliverHeader(
            run_id=run_id, step=message.step, kind=key.kind, index=key.number, sender=key.sender
        )
    )
    for piece in to_parts({_VALUES: message.values}):
        if part.tensors and part.tensors[-1].WhichOneof("part") == "chunk":
            yield part
            part = pb.DeliverPart()
        part.tensors.append(piece)
    part.end = True
    yield part


def messages_of(
    stream: Iterator[pb.DeliverPart], limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[str, Message]]:
    """Run id and message, one after the other, of a stream of parts.

    Raises:
      TensorError: the parts are out of order, or a cap is passed, or a hash differs.
    """
    for first in stream:
        if not first.HasField("header"):
            raise TensorError("a stream of tiles: expected a header")
        header = first.header
        kind: Kind | None = next((k for k in KINDS if k == header.kind), None)
        if kind is None:
            raise TensorError(f"a stream of tiles: kind '{header.kind[:20]}' is not known")
        tensors = receive(_tensors(first, stream), limits=limits)
        if list(tensors) != [_VALUES]:
            raise TensorError("a stream of tiles: expected one tensor in a message")
        values = tensors[_VALUES]
        if values.dtype != np.float32:
            raise TensorError(f"a stream of tiles: expected float32, got {values.dtype.name}")
        key = Key(kind, header.index, header.sender)
        yield header.run_id, Message(header.step, key, values.astype(np.float32, copy=False))


def _tensors(
    first: pb.DeliverPart, stream: Iterator[pb.DeliverPart]
) -> Iterator[tensors_pb2.TensorSetPart]:
    yield from first.tensors
    if first.end:
        return
    for part in stream:
        # Empty parts bring nothing: a stream of them would never end.
        if part.HasField("header") or not (part.tensors or part.end):
            raise TensorError("a stream of tiles: expected tensors and an end after a header")
        yield from part.tensors
        if part.end:
            return
    raise TensorError("a stream of tiles ended within a message")
