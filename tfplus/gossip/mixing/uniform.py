"""Uniform mixing: the node and all who answered weigh the same, 1 / (1 + how many answered).

On a regular network where all answer it is Metropolis. On any other it does not keep the mean over
the nodes: nodes with many neighbours count for more. It is the yardstick that others compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.rule import weighted_average
from tfplus.tensors.slice_set import SliceSet


@dataclass(frozen=True)
class Uniform:
    """Mixes by equal weights."""

    name: str = "uniform"
    keeps_mean: bool = True

    def mix(self, own: RoundContribution, received: Sequence[RoundContribution]) -> SliceSet:
        """Averages the node's slices with those received, see `rule.Mixing`."""
        share = 1.0 / (1.0 + len(received))
        return weighted_average(own, received, {c.peer: share for c in received})
