r"""Metropolis mixing: how a node averages its slices with those of the neighbours that answered.

Node i with degree d_i holds x_i; a neighbour j that answered, of degree d_j, weighs

    m_ij = 1 / (1 + max(d_i, d_j)),        m_ii = 1 - Σ_{j answered} m_ij.

m_ij needs nothing but the two degrees and is symmetric, so if everyone answers M is doubly
stochastic: rows sum to 1 (a convex combination), columns sum to 1 (the mean over all nodes is
kept), and x(t+1) = M x(t) converges to the mean at the rate of M's second largest eigenvalue
modulus. On a ring of n >= 3 nodes M is circulant with rows (1/3, 1/3, 1/3), and

    λ_k = (1 + 2 cos(2πk/n)) / 3.

Each slice is mixed over the nodes that hold it, with the same m_ij: a neighbour that lacks the
slice is left out and its share stays with the node itself, so the matrix of each slice remains
symmetric and doubly stochastic over its holders. `rule.weighted_average` weighs by samples besides.

References:
  Xiao, Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 2004.
  Boyd, Ghosh, Prabhakar, Shah, "Randomized gossip algorithms", IEEE Trans. Inf. Theory 2006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.rule import weighted_average
from tfplus.tensors.slice_set import SliceSet


def metropolis_weights(degree: int, answered: Mapping[str, int]) -> dict[str, float]:
    """Weighs those who answered.

    Args:
      degree: the number of neighbours that the node itself reckons with.
      answered: neighbour → its degree. More than `degree` where one that was given up answers: then
        their number counts.

    Returns:
      neighbour → m_ij, in the given order. The node's own share is 1 minus their sum, > 0.
    """
    own = max(degree, len(answered))
    return {peer: 1.0 / (1.0 + max(own, theirs)) for peer, theirs in answered.items()}


@dataclass(frozen=True)
class Metropolis:
    """Mixes by Metropolis weights; keeps the mean on any symmetric network, regular or not."""

    name: str = "metropolis"
    keeps_mean: bool = True

    def mix(self, own: RoundContribution, received: Sequence[RoundContribution]) -> SliceSet:
        """Averages the node's slices with those received, see `rule.Mixing`."""
        shares = metropolis_weights(own.degree, {c.peer: c.degree for c in received})
        return weighted_average(own, received, shares)
