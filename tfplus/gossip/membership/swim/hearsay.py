"""What a member makes of what others say of third ones: enough to spread news, too little to harm.

A message's sender is known, but whether it tells the truth of others is not. What it may cost them
is bounded: who is there hears of what is said of it, and refutes.
"""

from __future__ import annotations

from dataclasses import replace

from tfplus.gossip.membership.swim.messages import Status, Update

# Far more than any member refutes in its lives, and far less than all that fit: nobody can be said
# to be dead in an incarnation that it cannot outbid.
MOST_AHEAD = 2**40


def credible(update: Update, sender: str, believed: Update, believes_deaths: bool) -> Update | None:
    """What is to be learned from a statement; None for nothing.

    Args:
      update: the statement.
      sender: whose message it came with.
      believed: what is believed of that member so far.
      believes_deaths: see `SwimOptions`.
    """
    if update.incarnation < 0:
        return None
    if update.member == sender:
        return update
    if update.incarnation - believed.incarnation > MOST_AHEAD:
        return None
    if update.status.there or believes_deaths:
        return update
    return replace(update, status=Status.SUSPECT, by=sender)
