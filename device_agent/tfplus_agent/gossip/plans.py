"""What an agent may be told of a gossip run."""

from __future__ import annotations

import math
from collections.abc import Callable

from tfplus.errors import UsageError
from tfplus.gossip.compression.choosing import Choice, choice
from tfplus.gossip.compression.registry import FLOAT32
from tfplus.gossip.membership.registry import GRAPHS
from tfplus.gossip.membership.wiring import REFORMED, Wiring
from tfplus.gossip.mixing.registry import METROPOLIS, MIXINGS, Mixing
from tfplus.gossip.transport.grpc_link import MAX_CALL_S
from tfplus.gossip.transport.member_wire import MAX_MEMBERS, MAX_NAME_CHARS
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage.run_ids import valid_run_id

MAX_ROUNDS = 100_000
MAX_EPOCHS = 100_000
MAX_NEIGHBOURS = 256
# A probe takes a call; a member that is gone is to be noticed within the run.
LEAST_PERIOD_S = 0.05
MOST_PERIOD_S = 60.0
DEFAULT_DEGREE = 4


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
    choice_of(plan)
    names = [n.name for n in plan.neighbours]
    if len(names) > MAX_NEIGHBOURS:
        raise UsageError(f"expected at most {MAX_NEIGHBOURS} neighbours, got {len(names)}")
    for name in names:
        check_name("neighbour", name)
        if name == own_name or names.count(name) > 1:
            raise UsageError(
                f"neighbour '{name}': expected names of others, each once; this agent is "
                f"'{own_name}'"
            )
    if plan.HasField("membership"):
        _check_membership(plan, own_name)


def _check_membership(plan: pb.GossipPlan, own_name: str) -> None:
    told = plan.membership
    if plan.neighbours:
        raise UsageError("neighbours: expected none beside a membership, links follow from that")
    names = [one.name for one in (*told.members, *told.admitted)]
    if not 0 < len(names) <= MAX_MEMBERS:
        raise UsageError(f"membership: expected 1 to {MAX_MEMBERS} members, got {len(names)}")
    for name in names:
        check_name("member", name)
        if names.count(name) > 1:
            raise UsageError(f"member '{name}': expected each name once")
    if own_name not in names:
        raise UsageError(
            f"membership: expected this agent, '{own_name}', among the members, got "
            f"{', '.join(names[:8])}"
        )
    if not (math.isfinite(told.period_s) and LEAST_PERIOD_S <= told.period_s <= MOST_PERIOD_S):
        raise UsageError(
            f"period_s: expected {LEAST_PERIOD_S:g} to {MOST_PERIOD_S:g} s, got {told.period_s:g}"
        )
    if told.topology not in GRAPHS:
        raise UsageError(
            f"topology {told.topology[:40]!r}: expected one of {', '.join(GRAPHS)}, whose links "
            "stay the same from round to round"
        )
    wiring = Wiring(told.topology, told.degree or DEFAULT_DEGREE, plan.seed)
    wiring.among(names, names)
    if told.admitted and not wiring.reforms:
        raise UsageError(
            f"topology '{told.topology}': others can join where links are made anew: "
            f"{', '.join(REFORMED)}"
        )


def check_name(what: str, name: str) -> None:
    """Checks the name of an agent.

    Raises:
      UsageError: it is empty, long, or not printable.
    """
    if not (0 < len(name) <= MAX_NAME_CHARS and name.isprintable()):
        raise UsageError(f"{what} {name[:80]!r}: expected a printable name")


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


def choice_of(plan: pb.GossipPlan) -> Callable[[], Choice] | None:
    """What chooses the codecs of a link of a run; None for tensors as they are.

    Raises:
      UsageError: there is none of that name here.
    """
    return None if plan.codec in ("", FLOAT32) else choice(plan.codec)


def held_there(plan: pb.GossipPlan) -> dict[str, frozenset[str]]:
    """Neighbour → slices that it holds, of those for which the plan says it."""
    told = (*plan.neighbours, *plan.membership.members, *plan.membership.admitted)
    return {n.name: frozenset(n.slices) for n in told if n.slices}


def with_admitted(plan: pb.GossipPlan, name: str, address: str) -> pb.GossipPlan:
    """A copy of a plan with another member, in its place by name."""
    copy = pb.GossipPlan()
    copy.CopyFrom(plan)
    if name not in {one.name for one in plan.membership.admitted}:
        copy.membership.admitted.add(name=name, address=address)
        copy.membership.admitted.sort(key=lambda one: one.name)
    return copy


def plan_to_join(plan: pb.GossipPlan, name: str, address: str) -> pb.GossipPlan:
    """What an agent is told that joins a run.

    Args:
      plan: of the run, as a member has it.
      name: of the agent that joins.
      address: under which the members reach it.
    """
    copy = with_admitted(plan, name, address)
    copy.membership.joins = True
    for one in (*copy.membership.members, *copy.membership.admitted):
        # What others hold of the slices of the member that was asked.
        one.ClearField("slices")
    return copy
