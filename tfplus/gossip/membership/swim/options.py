"""How a member probes, suspects and spreads news."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfplus.errors import UsageError


@dataclass(frozen=True)
class SwimOptions:
    """The protocol's parameters, by the papers' letters.

    Attributes:
      period_s: T', one probe each.
      ack_timeout_s: how long to wait for the answer to a ping before others are asked to ping.
      proxies: k, how many are asked.
      suspicion: α: a suspect has α · max(1, log10 n) · T' to refute, at least.
      suspicion_most: β: and β times as long while nobody else suspects it.
      confirmations: K, how many independent suspicions bring that down to the least.
      spread: λ: an update goes along with λ · ⌈log10(n + 1)⌉ messages.
      updates: how many updates one message carries at most.
      health_most: S, the largest local health multiplier; 0 turns it off.
      reconnect_periods: every how many periods one who is believed dead is pinged, too, so that
        partitions heal; 0 for never.
      sync_periods: every how many periods a member asks another for all that it believes, so that
        what got lost comes after all; 0: at the start alone.
      sync_updates: how many members a view that is asked for tells of at most.
      members_most: how many members there may be with those who are admitted later; 0: none is.
      believes_deaths: whether a death that another tells of counts at once. Else it is a suspicion
        of the teller, so that a member is dead only for those whom it did not convince itself.
    """

    period_s: float = 1.0
    ack_timeout_s: float = 0.5
    proxies: int = 3
    suspicion: float = 5.0
    suspicion_most: float = 6.0
    confirmations: int = 3
    spread: float = 4.0
    updates: int = 6
    health_most: int = 8
    reconnect_periods: int = 10
    sync_periods: int = 0
    sync_updates: int = 10_000
    members_most: int = 0
    believes_deaths: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.ack_timeout_s < self.period_s:
            raise UsageError(
                f"ack_timeout_s: expected more than 0 and less than a period of {self.period_s:g} "
                f"s, got {self.ack_timeout_s:g}"
            )
        periods = self.reconnect_periods, self.sync_periods
        if min(self.proxies, self.confirmations, self.health_most, *periods) < 0:
            raise UsageError("SWIM options: expected counts of 0 or more")
        if min(self.suspicion, self.spread, self.updates, self.suspicion_most) < 1:
            raise UsageError("SWIM options: expected factors of 1 or more")

    def suspicion_s(self, members: int, confirmed: int) -> float:
        """How long a suspect has to refute, in seconds.

        max(Min, Max − (Max − Min) · log(C + 1) / log(K + 1)), Lifeguard's section IV.B.

        Args:
          members: how many there are.
          confirmed: C, how many others have suspected the same on their own.
        """
        least = self.suspicion * max(1.0, math.log10(max(members, 1))) * self.period_s
        # Where so many cannot be found nobody waits for them.
        wanted = self.confirmations if members - 2 >= self.confirmations else 0
        if not wanted:
            return least
        most = self.suspicion_most * least
        share = math.log(confirmed + 1) / math.log(wanted + 1)
        return max(least, most - (most - least) * share)

    def transmissions(self, members: int) -> int:
        """With how many messages of a member an update goes along."""
        return math.ceil(self.spread * math.ceil(math.log10(members + 1)))


def plain(period_s: float = 1.0, ack_timeout_s: float = 0.5, proxies: int = 3) -> SwimOptions:
    """SWIM as in its paper, without what Lifeguard adds."""
    return SwimOptions(
        period_s, ack_timeout_s, proxies, confirmations=0, suspicion_most=1.0, health_most=0
    )
