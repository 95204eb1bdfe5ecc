"""What one that joins a run under way takes over before it is there, and what members give it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tfplus.errors import DataError, RemoteError, TensorError
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


def join_run(device: Device, journal: RunJournal, link: Link) -> None:
    """Takes over what members have of the slices that the model here holds; once in a run.

    The neighbour-to-be gives all that it has, others what it lacks. What nobody holds stays as the
    model has it. The run then goes on behind the newest round that any of them has done.

    Args:
      device: has the model; reserved for the run.
      journal: of the run, which has not been joined yet.
      link: how members are reached.

    Raises:
      DataError: nobody holds a slice of this model.
      RemoteError: no member answers.
      StorageError: the disk is full.
      TensorError: a slice has another shape there.
    """
    plan = journal.plan
    expected = device.manifest.expected(weights_only=True)
    taken: dict[str, Tensor] = {}
    newest, silent, asked = 0, [], 0
    for name, address in _nearest_first(plan, device.name):
        lacking = [n for n in expected if n not in taken]
        if not lacking:
            break
        try:
            round, slices = take_over(
                plan.run_id,
                device.name,
                lacking,
                address,
                tls=link.tls,
                insecure=link.insecure,
                within_s=_TAKE_OVER_S,
            )
        except RemoteError as error:
            silent.append(f"'{name}' at {error}")
            continue
        asked += 1
        newest = max(newest, round)
        for slice_name, tensor in slices.items():
            shape, dtype = expected[slice_name]
            if (tensor.shape, tensor.dtype.name) != (tuple(shape), dtype):
                raise TensorError(
                    f"slice '{slice_name}': expected {dtype}{list(shape)}, '{name}' has "
                    f"{tensor.dtype.name}{list(tensor.shape)}: load the model of the run"
                )
            taken[slice_name] = tensor
    if not asked:
        raise RemoteError(
            f"run '{plan.run_id}' cannot be joined, no member answers: {'; '.join(silent)[:800]}"
        )
    if not taken:
        raise DataError(
            f"run '{plan.run_id}': no member holds any slice of the model loaded here: load one "
            "that has slices in common with the others"
        )
    device.set_weights(taken, step=None)
    device.settle(journal.keeper(newest))
    journal.append(pb.GossipEvent(state=pb.GossipEvent.JOINED, round=newest))
    _LOG.info("gossip run '%s' joined behind round %d", plan.run_id, newest)


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


def _nearest_first(plan: pb.GossipPlan, own: str) -> list[tuple[str, str]]:
    told = plan.membership
    addresses = {one.name: one.address for one in (*told.members, *told.admitted)}
    names = in_order([one.name for one in told.members], [one.name for one in told.admitted])
    near = Wiring(told.topology, told.degree or DEFAULT_DEGREE, plan.seed).among(names, names)[own]
    ordered = dict.fromkeys((*near, *(n for n in names if n != own)))
    return [(name, addresses[name]) for name in ordered]
