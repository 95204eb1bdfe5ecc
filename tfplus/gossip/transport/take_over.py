"""What one that joins a run takes over from a member: its slices, and the round behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import grpc

from tfplus.errors import RemoteError, TensorError
from tfplus.proto.v1 import membership_pb2 as pb
from tfplus.proto.v1 import membership_pb2_grpc, tensors_pb2
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tensors import receive
from tfplus.wire.tls import TlsFiles, channel


def take_over(
    run_id: str,
    own: str,
    slices: Iterable[str],
    address: str,
    *,
    tls: TlsFiles | None,
    insecure: bool,
    within_s: float,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[int, SliceSet]:
    """Asks a member for those of its slices that are held here, too.

    Args:
      run_id: of the run.
      own: who asks.
      slices: names of what is held here.
      address: of the member, `host:port`.
      tls: own certificate; None for plaintext.
      insecure: allows plaintext beyond loopback.
      within_s: how long the whole answer may take.
      limits: caps on what comes.

    Returns:
      The round behind which they stand, and those that the member has.

    Raises:
      RemoteError: the member cannot be reached, has no such run, or does not know who asks.
      TensorError: what came makes no sense.
      UsageError: the address is malformed, or plaintext would leave this machine.
    """
    request = pb.TakeOverRequest(run_id=run_id, member=own, slices=slices)
    with channel(address, tls, insecure=insecure, limits=limits) as open_channel:
        stub = membership_pb2_grpc.MembershipStub(open_channel)
        call = cast("Iterator[pb.TakeOverPart]", stub.TakeOver(request, timeout=within_s))
        try:
            first = next(call, None)
            if first is None or first.WhichOneof("part") != "header":
                raise TensorError("expected a header before the slices")
            return first.header.round, receive(_tensor_parts(call), held={}, limits=limits)
        except grpc.RpcError as error:
            said = cast("Any", error)
            raise RemoteError(f"{said.code().name}: {said.details()}") from None


def _tensor_parts(parts: Iterator[pb.TakeOverPart]) -> Iterator[tensors_pb2.TensorSetPart]:
    for part in parts:
        if part.WhichOneof("part") != "tensors":
            raise TensorError("expected tensors after the header")
        yield part.tensors
