"""What one that joins a run under way takes over before it is there, and what members give it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfplus.errors import DataError, RemoteError, TensorError
from tfplus.gossip.core.checks import Schema
from tfplus.gossip.membership.wiring import Wiring, in_order
from tfplus.gossip.transport.take_over import take_over
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.plans import DEFAULT_DEGREE
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

_LOG = logging.getLogger(__name__)
_TAKE_OVER_S = 120.0
MOST_CHARS = 800


def join_run(device: Device, journal: RunJournal, link: Link) -> None:
    """Takes over what members have of the slices that the model here holds; once in a run.

    The neighbour-to-be gives all that it has, others what it lacks; what nobody holds stays as the
    model has it. What a member gives that is not finite, or of another shape, is left alone. The
    run then goes on behind the round that the slowest of those who were asked has done, two of them
    if there are two: from there a node catches up, and none can make it believe that all is over.

    Args:
      device: has the model; reserved for the run.
      journal: of the run, which has not been joined yet.
      link: how members are reached.

    Raises:
      DataError: nobody gives a slice of this model.
      RemoteError: no member answers.
      StorageError: the disk is full.
    """
    plan = journal.plan
    expected = device.manifest.expected(weights_only=True)
    given = given_by(plan, device.name, expected, link, nearest_first(plan, device.name), tellers=2)
    told = "; ".join(given.unfit)[:MOST_CHARS]
    if not given.rounds:
        raise RemoteError(f"run '{plan.run_id}' cannot be joined, no member answers: {told}")
    if not given.slices:
        raise DataError(
            f"run '{plan.run_id}': no member gives any slice of the model loaded here: load one "
            f"that has slices in common with the others{': ' if told else ''}{told}"
        )
    behind = min(given.rounds)
    device.set_weights(given.slices, step=None)
    device.settle(journal.keeper(behind))
    journal.append(pb.GossipEvent(state=pb.GossipEvent.JOINED, round=behind))
    _LOG.info("gossip run '%s' joined behind round %d", plan.run_id, behind)


@dataclass
class Given:
    """What members gave.

    Attributes:
      slices: all of them, name → tensor.
      rounds: of each who answered with what can be used.
      unfit: what was wrong with the others, in words.
    """

    slices: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    rounds: list[int] = field(default_factory=list[int])
    unfit: list[str] = field(default_factory=list[str])


def given_by(
    plan: pb.GossipPlan,
    own: str,
    expected: Schema,
    link: Link,
    members: Iterable[tuple[str, str]],
    *,
    tellers: int = 1,
    behind: int = -1,
    within_s: float = _TAKE_OVER_S,
) -> Given:
    """Asks members in order, until all slices are there and so many have told their round.

    Args:
      plan: of the run.
      own: who asks.
      expected: the slices that are held here.
      link: how members are reached.
      members: (name, address), in order.
      tellers: how many have to tell their round.
      behind: of who has not done more than this round nothing is taken.
      within_s: how long each may take.
    """
    given = Given()
    for name, address in members:
        lacking = [n for n in expected if n not in given.slices]
        if not lacking and len(given.rounds) >= tellers:
            break
        try:
            round, slices = take_over(
                plan.run_id,
                own,
                lacking,
                address,
                tls=link.tls,
                insecure=link.insecure,
                within_s=within_s,
            )
            if round <= behind:
                continue
            given.rounds.append(min(round, plan.rounds))
            check_fit(slices, expected)
        except (RemoteError, TensorError) as error:
            given.unfit.append(f"'{name}' at {address}: {error}")
        else:
            given.slices |= slices
    return given


def check_fit(slices: SliceSet, expected: Schema) -> None:
    """Checks what a member gave against what the model here has.

    Raises:
      TensorError: a slice has another shape or dtype, is not the model's, or is not finite.
    """
    for name, (shape, dtype) in slices.layouts().items():
        if name not in expected:
            raise TensorError(f"slice '{name}': it was not asked for")
        wanted_shape, wanted = expected[name]
        if (shape, dtype) != (tuple(wanted_shape), wanted):
            raise TensorError(
                f"slice '{name}': expected {wanted}{list(wanted_shape)}, got {dtype}{list(shape)}"
            )
    if broken := slices.not_finite():
        raise TensorError(f"slice '{broken[0]}': expected finite values, got NaN or infinity")


def state_behind(journal: RunJournal) -> tuple[int, SliceSet]:
    """The last round that is done, and the slices behind it; while rounds go on.

    Raises:
      DataError: they are not kept, or damaged.
    """
    while True:
        round = journal.last_done
        try:
            return round, journal.snapshot(round)
        except DataError:
            # The next round may have taken its place meanwhile.
            if journal.last_done == round:
                raise


def nearest_first(plan: pb.GossipPlan, own: str) -> list[tuple[str, str]]:
    """All other members and their addresses, neighbours on the plan's topology first."""
    told = plan.membership
    addresses = {one.name: one.address for one in (*told.members, *told.admitted)}
    names = in_order([one.name for one in told.members], [one.name for one in told.admitted])
    near = Wiring(told.topology, told.degree or DEFAULT_DEGREE, plan.seed).among(names, names)[own]
    ordered = dict.fromkeys((*near, *(n for n in names if n != own)))
    return [(name, addresses[name]) for name in ordered]
