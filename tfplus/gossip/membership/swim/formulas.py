"""What SWIM's paper says of detection and of false suspicions: what a run is compared with."""

from __future__ import annotations

import math


def periods_to_detection(members: int) -> float:
    """Expected periods until some member first probes one that has failed.

    In a period each of the n − 1 others probes it with probability 1 / (n − 1), so the first probe
    is geometric: 1 / (1 − (1 − 1/(n−1))^(n−1)). Section 3.1 has the limit: "the expected time
    between failure of M_j and its detection at some non-faulty member is T' · e / (e − 1)".

    Args:
      members: with the one that failed; at least 2.
    """
    others = members - 1
    return 1 / (1 - (1 - 1 / others) ** others) if others > 1 else 1.0


def false_suspicion(loss: float, proxies: int) -> float:
    """Probability that a probe of a live member fails: direct and by every proxy.

    (1 − q²) (1 − q⁴)^k where q = 1 − loss is the probability that a message arrives: ping and ack,
    or request, ping, ack and ack back. It is section 3.1's PM(T) without the share of probes by
    members that have failed themselves.
    """
    arrives = 1 - loss
    return (1 - arrives**2) * (1 - arrives**4) ** proxies


def false_suspicions_of_member(members: int, loss: float, proxies: int) -> float:
    """Probability that a live member is suspected by anybody in one period.

    1 − (1 − P/(n−1))^(n−1), P as in `false_suspicion`: it hardly grows with n.
    """
    others = members - 1
    return 1 - (1 - false_suspicion(loss, proxies) / others) ** others


def periods_to_spread(members: int, spread: float) -> float:
    """Periods after which an update has reached all but n^−(2λ − 2) members: λ log n.

    Section 4.1: "each group membership update … propagates to all but n^−(2λ−2) members in λ log n
    protocol periods", natural logarithm.
    """
    return spread * math.log(members)
