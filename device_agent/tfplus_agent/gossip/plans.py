"""What an agent may be told of a gossip run."""

from __future__ import annotations

import math

from tfplus.codecs.codec import Codec
from tfplus.errors import UsageError
from tfplus.gossip.compression.registry import FLOAT32, link_codec
from tfplus.gossip.mixing.registry import METROPOLIS, MIXINGS, Mixing
from tfplus.gossip.transport.grpc_link import MAX_CALL_S
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage.run_ids import valid_run_id

MAX_ROUNDS = 100_000
MAX_EPOCHS = 100_000
MAX_NEIGHBOURS = 256
_MAX_NAME_CHARS = 63


def check_plan(plan: pb.GossipPlan, own_name: str) -> None:
    """Checks what an agent is told.

    Raises:
      UsageError: naming the field, what was expected and what came.
    """
    valid_run_id(plan.run_id)
    for field, value, most in (
        ("rounds", plan.rounds, MAX_ROUNDS),
        ("epochs_per_round", plan.epochs_per_round, MAX_EPOCHS),
    ):
        if not 1 <= value <= most:
            raise UsageError(f"{field}: expected 1 to {most}, got {value}")
    timeout_s = plan.round_timeout_s
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= MAX_CALL_S):
        raise UsageError(f"round_timeout_s: expected up to {MAX_CALL_S:g} s, got {timeout_s}")
    mixing_of(plan)
    codec_of(plan)
    names = [n.name for n in plan.neighbours]
    if len(names) > MAX_NEIGHBOURS:
        raise UsageError(f"expected at most {MAX_NEIGHBOURS} neighbours, got {len(names)}")
    for name in names:
        if not (0 < len(name) <= _MAX_NAME_CHARS and name.isprintable()):
            raise UsageError(f"neighbour {name[:80]!r}: expected a printable name")
        if name == own_name or names.count(name) > 1:
            raise UsageError(
                f"neighbour '{name}': expected names of others, each once; this agent is "
                f"'{own_name}'"
            )


def mixing_of(plan: pb.GossipPlan) -> Mixing:
    """The rule by which a run averages.

    Raises:
      UsageError: there is none of that name here.
    """
    mixing = MIXINGS.get(plan.mixing or METROPOLIS.name)
    if mixing is None:
        known = ", ".join(MIXINGS)
        raise UsageError(f"mixing {plan.mixing[:40]!r}: expected one of {known}")
    return mixing


def codec_of(plan: pb.GossipPlan) -> Codec | None:
    """The codec of what a run sends; None for tensors as they are.

    Raises:
      UsageError: there is none of that name here.
    """
    return None if plan.codec in ("", FLOAT32) else link_codec(plan.codec)


def held_there(plan: pb.GossipPlan) -> dict[str, frozenset[str]]:
    """Neighbour → slices that it holds, of those for which the plan says it."""
    return {n.name: frozenset(n.slices) for n in plan.neighbours if n.slices}
