"""What a mixing rule is: how a node averages its slices with those of the neighbours that answered.

A rule sees one node's round and nothing else: its own contribution and at most one of each
neighbour. What every rule promises stands in `Mixing`; the contract test holds every entry of
`registry` to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tfplus.gossip.messages import RoundContribution
from tfplus.tensors import slices
from tfplus.tensors.slice_set import SliceSet


class Mixing(Protocol):
    """A mixing rule: pure, and without a state of its own.

    - The result holds the slices of `own`, in its order, shapes and dtypes.
    - Each value is a convex combination of the holders' values, so that equal values stay.
    - The order of arrival changes no bit.
    - Where all nodes of a symmetric, regular network answer and every slice has equal weights
      everywhere, nodes do not move apart. Of a rule that `keeps_mean` the mean over the nodes is
      kept then, and repetition converges to it.
    """

    @property
    def name(self) -> str:
        """Its name in the registry."""
        ...

    @property
    def keeps_mean(self) -> bool:
        """Whether nodes agree on their mean; one that stands up to liars cannot promise it."""
        ...

    def mix(self, own: RoundContribution, received: Sequence[RoundContribution]) -> SliceSet:
        """Averages the node's slices with those received.

        Args:
          own: what the node trained itself.
          received: at most one contribution a neighbour; slices that `own` lacks are ignored.

        Raises:
          TensorError: a slice held in common differs in shape or dtype, or a weight is no weight.
        """
        ...


def weighted_average(
    own: RoundContribution, received: Sequence[RoundContribution], shares: Mapping[str, float]
) -> SliceSet:
    """Averages each slice over its holders, for rules that weigh whole neighbours.

    With shares m_ij and sample weights w (samples behind a slice)

        x_i' = Σ_j m_ij w_j x_j / Σ_j m_ij w_j,        m_ii = 1 - Σ_{j holds the slice} m_ij.

    A neighbour that lacks a slice is left out and its share stays with the node itself. Where every
    weight is zero, m_ij alone decides.

    Args:
      own: what the node trained itself.
      received: at most one contribution a neighbour.
      shares: neighbour → m_ij, of each that answered; their sum is below 1.
    """
    # The node first, then the peers by name: equal input gives equal bits.
    received = sorted(received, key=lambda c: c.peer)
    weights: dict[str, dict[str, float]] = {c.peer: {} for c in (own, *received)}
    for name in own.tensors:
        holders = [c for c in received if name in c.tensors]
        for peer, weight in _weights_of(name, own, holders, shares).items():
            weights[peer][name] = weight
    return SliceSet(
        slices.average(
            [
                slices.Contribution({n: c.tensors[n] for n in own.tensors if n in c.tensors}, w)
                for c, w in zip((own, *received), weights.values(), strict=True)
            ]
        )
    )


def _weights_of(
    name: str,
    own: RoundContribution,
    holders: Sequence[RoundContribution],
    shares: Mapping[str, float],
) -> dict[str, float]:
    mixing = {own.peer: 1.0 - sum(shares[c.peer] for c in holders)}
    mixing.update({c.peer: shares[c.peer] for c in holders})
    samples = {c.peer: float(c.slice_weights[name]) for c in (own, *holders)}
    if not any(samples.values()):
        return mixing
    return {peer: mixing[peer] * samples[peer] for peer in mixing}
