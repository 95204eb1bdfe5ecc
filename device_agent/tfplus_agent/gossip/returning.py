"""What a member does that has missed rounds, or hears nobody: takes over, waits, says so.

What it has is too old to average with, and what it does alone would soon be too far ahead.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tfplus.gossip.core.machine import State
from tfplus.gossip.links import linked
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.joining import MOST_CHARS, Given, given_by, nearest_first
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.rounds import Rounds
from tfplus_agent.gossip.run_members import RunMembers
from tfplus_agent.results import EvaluateResult
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

_LOG = logging.getLogger(__name__)
# Missed rounds from which on members' slices are taken over.
FAR_BEHIND = 3
_MOST_ASKED = 4


class Returning:
    """What a run does about rounds that it missed. For the thread of the run alone.

    Args:
      device: trains.
      journal: of the run.
      rounds: of the run.
      link: how members are reached.
      members: of the run; None where its neighbours stay, and nothing can be taken over.
    """

    def __init__(
        self,
        device: Device,
        journal: RunJournal,
        rounds: Rounds,
        link: Link,
        members: RunMembers | None,
    ) -> None:
        self._device = device
        self._journal = journal
        self._rounds = rounds
        self._link = link
        self._members = members

    @property
    def waits_for_company(self) -> bool:
        """Whether a node that hears nobody shall let the others find it, instead of going ahead.

        Where neighbours stay they are not looked for, and who has said goodbye does not come.
        """
        return self._members is not None and self._members.may_come

    def before(self, round: int) -> str:
        """Takes over what members have where many rounds were missed before this one.

        Returns:
          What came of it, for whoever watches the run; empty where nothing was to be done.
        """
        done = self._journal.last_done
        if self._members is None or round - 1 - done < FAR_BEHIND:
            return ""
        return f"away from round {done + 1} to {round - 1}: {self._caught_up(self._members, done)}"

    def too_late(self, own: int) -> tuple[str, EvaluateResult | None]:
        """Takes over what members have where they have finished without this device.

        Args:
          own: its own last round.

        Returns:
          What came of it, and what the evaluation says where something was taken over.
        """
        rounds = self._journal.plan.rounds
        over = (
            f"its neighbours had finished round {rounds} without it when it had finished round "
            f"{own}: the run is over"
        )
        if self._members is None:
            return over, None
        return f"{over}; {self._caught_up(self._members, own)}", self._rounds.evaluate(own)

    def _caught_up(self, members: RunMembers, round: int) -> str:
        return catch_up(self._device, self._journal.plan, self._link, members.there, round)


def alone(state: State) -> bool:
    """Whether a node hears nobody of those whom it is linked with."""
    return all(state.peers[name].suspected for name in linked(state.schedule))


def rejoin(device: Device, journal: RunJournal, link: Link) -> None:
    """Lets an agent that comes back far behind take over what members have, as one that joins.

    Where fewer than `FAR_BEHIND` rounds were missed, nobody answers or has anything in common, it
    goes on behind its own last round.

    Args:
      device: stands behind the last round that is done; reserved for the run.
      journal: of the run, which has a membership.
      link: how members are reached.

    Raises:
      StorageError: the disk is full.
    """
    plan, done = journal.plan, journal.last_done
    given = _few_asked(device, plan, link, nearest_first(plan, device.name), done, tellers=2)
    behind = min(given.rounds, default=done)
    if behind - done < FAR_BEHIND or not given.slices:
        return
    device.set_weights(given.slices, step=None)
    device.settle(journal.keeper(behind))
    journal.append(pb.GossipEvent(state=pb.GossipEvent.JOINED, round=behind))
    _LOG.info("gossip run '%s' goes on behind round %d of others", plan.run_id, behind)


def catch_up(
    device: Device, plan: pb.GossipPlan, link: Link, there: Collection[str], round: int
) -> str:
    """Takes over what members have, on a device that has missed rounds.

    Args:
      device: has the model; reserved for the run.
      plan: of the run, with a membership.
      link: how members are reached.
      there: members to ask; nothing is taken of those who are not behind a later round.
      round: the last that is done here.

    Returns:
      What came of it, for whoever watches the run.

    Raises:
      StorageError: the disk is full.
    """
    asked = [(name, where) for name, where in nearest_first(plan, device.name) if name in there]
    given = _few_asked(device, plan, link, asked, round, tellers=1)
    if not given.slices:
        why = "; ".join(given.unfit)[:MOST_CHARS] or "no member that was asked has done more"
        return f"its weights are those of round {round}: {why}"
    device.set_weights(given.slices, step=None)
    return (
        f"it has taken over {len(given.slices)} slices from members, as they stand behind round "
        f"{max(given.rounds)}"
    )


def _few_asked(
    device: Device,
    plan: pb.GossipPlan,
    link: Link,
    members: Sequence[tuple[str, str]],
    behind: int,
    *,
    tellers: int,
) -> Given:
    expected = device.manifest.expected(weights_only=True)
    few, within_s = members[:_MOST_ASKED], plan.round_timeout_s
    return given_by(
        plan, device.name, expected, link, few, tellers=tellers, behind=behind, within_s=within_s
    )
