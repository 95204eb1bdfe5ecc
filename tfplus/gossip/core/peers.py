"""What a node knows of one neighbour: its life, what was counted, what waits, whether to wait."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.gossip.core.changed import changed
from tfplus.gossip.core.patience import NOT_MEASURED, Lateness
from tfplus.gossip.messages import Outcome, RoundContribution

# One for the round under way and one for the round that a neighbour may be ahead.
MAX_PENDING = 2
# So many rounds behind it is soon caught up, and both average with each other again.
CLOSE_BEHIND = 2


@dataclass(frozen=True, eq=False)
class Peer:
    """One neighbour, as seen from here.

    Attributes:
      incarnation: the newest life heard of; -1 for none.
      latest_round: the newest round heard of in that life; 0 for none.
      last_used: the newest round that went into an average, in any life; 0 for none.
      seen: rounds of this life that came in and may still be asked about.
      pending: contributions not used yet, by round, at most `MAX_PENDING`: the newest.
      suspected: it missed a round, so nobody waits for it until it is heard again.
      finished: it said that its last round is done.
      lateness: how late it came in past rounds.
    """

    incarnation: int = -1
    latest_round: int = 0
    last_used: int = 0
    seen: frozenset[int] = frozenset()
    pending: tuple[RoundContribution, ...] = ()
    suspected: bool = False
    finished: bool = False
    lateness: Lateness = NOT_MEASURED

    def at(self, round: int) -> RoundContribution | None:
        """Returns what it brought to exactly this round, if that waits here."""
        return next((c for c in self.pending if c.round == round), None)

    def usable(self, round: int, max_staleness: int) -> RoundContribution | None:
        """Returns the newest that may go into the average of `round`: of that round, or older."""
        fitting = [c for c in self.pending if round - max_staleness <= c.round <= round]
        return fitting[-1] if fitting else None

    def awaited(self, round: int) -> bool:
        """Whether the average of `round` should wait for it.

        Not if it answered, is suspected, or has moved on: who is in a later round sends no more
        for this one.
        """
        return not self.suspected and self.at(round) is None and self.latest_round <= round


def take_in(
    peer: Peer,
    contribution: RoundContribution,
    *,
    round: int,
    max_staleness: int,
    late_s: float | None,
) -> tuple[Peer, Outcome, str]:
    """Files a contribution that passed all checks.

    Args:
      peer: its sender, as known so far.
      contribution: what came.
      round: the first round that is not averaged yet.
      max_staleness: how many rounds old a contribution may be when it is used.
      late_s: how late it comes; None where that is not known.

    Returns:
      The sender as known now, the outcome, and the reason if it was refused.
    """
    if contribution.incarnation < peer.incarnation:
        return (
            peer,
            Outcome.REFUSED,
            f"expected incarnation {peer.incarnation} or later of '{contribution.peer}', got "
            f"{contribution.incarnation}: an earlier life of it",
        )
    if contribution.incarnation > peer.incarnation:
        peer = changed(
            peer,
            incarnation=contribution.incarnation,
            latest_round=0,
            seen=frozenset(),
            pending=(),
        )
    if contribution.round in peer.seen:
        return peer, Outcome.DUPLICATE, ""
    floor = round - max_staleness
    peer = changed(
        peer,
        latest_round=max(peer.latest_round, contribution.round),
        seen=frozenset(r for r in peer.seen if r >= floor) | {contribution.round},
        lateness=peer.lateness if late_s is None else peer.lateness.after(late_s),
    )
    if contribution.round >= round - max(CLOSE_BEHIND, max_staleness):
        # Who is further behind does not count as heard: to wait for it would cost a whole timeout
        # every round until it has caught up.
        peer = changed(peer, suspected=False)
    if contribution.round >= floor and contribution.round > peer.last_used:
        pending = sorted((*peer.pending, contribution), key=lambda c: c.round)
        peer = changed(peer, pending=tuple(pending[-MAX_PENDING:]))
    return peer, Outcome.LATE if contribution.round < round else Outcome.ACCEPTED, ""


def after_average(
    peer: Peer, used: RoundContribution | None, *, oldest: int, suspect: bool
) -> Peer:
    """Marks what was used and drops what no later round may use: rounds before `oldest`."""
    last_used = peer.last_used if used is None else used.round
    return changed(
        peer,
        last_used=last_used,
        pending=tuple(c for c in peer.pending if c.round > last_used and c.round >= oldest),
        suspected=peer.suspected or suspect,
    )
