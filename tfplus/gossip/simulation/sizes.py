"""How many bytes a contribution has on the wire."""

from __future__ import annotations

from tfplus.gossip.messages import RoundContribution
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.wire.tensors import to_parts


def contribution_bytes(contribution: RoundContribution, run_id: str = "simulation") -> int:
    """Its messages as they are serialized for a neighbour that holds none of it, without gRPC.

    Agents do not send a tensor again that stayed the same; a simulation counts it every time.
    """
    header = pb.ContributionHeader(
        run_id=run_id,
        peer=contribution.peer,
        incarnation=contribution.incarnation,
        round=contribution.round,
        degree=contribution.degree,
        schema_hash=contribution.schema_hash,
        slice_weights=dict(contribution.slice_weights),
    )
    size = pb.ExchangePart(header=header).ByteSize()
    return size + sum(pb.ExchangePart(tensors=p).ByteSize() for p in to_parts(contribution.tensors))
