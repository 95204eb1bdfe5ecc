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
symmetric and doubly stochastic over its holders. With sample weights w (samples behind a slice)

    x_i' = Σ_j m_ij w_j x_j / Σ_j m_ij w_j,

which is the unweighted rule where all w are equal. Where every weight is zero, m_ij alone decides.

References:
  Xiao, Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 2004.
  Boyd, Ghosh, Prabhakar, Shah, "Randomized gossip algorithms", IEEE Trans. Inf. Theory 2006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfplus.gossip.messages import RoundContribution
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensor


def metropolis_weights(degree: int, answered: Mapping[str, int]) -> dict[str, float]:
    """Weighs those who answered.

    Args:
      degree: the node's own number of neighbours.
      answered: neighbour → its degree; at most `degree` of them.

    Returns:
      neighbour → m_ij, in the given order. The node's own share is 1 minus their sum, > 0.
    """
    return {peer: 1.0 / (1.0 + max(degree, theirs)) for peer, theirs in answered.items()}


def mix(own: RoundContribution, received: Sequence[RoundContribution]) -> dict[str, Tensor]:
    """Averages the node's slices with those received.

    The node comes first, then the peers by name, so that equal input gives equal bits whatever the
    order of arrival.

    Args:
      own: what the node trained itself.
      received: at most one contribution a neighbour; slices that `own` lacks are ignored.

    Returns:
      The slices of `own`, mixed, in its order and dtypes.

    Raises:
      TensorError: a slice held in common differs in shape or dtype, or a weight is no weight.
    """
    received = sorted(received, key=lambda c: c.peer)
    shares = metropolis_weights(own.degree, {c.peer: c.degree for c in received})
    coefficients: dict[str, dict[str, float]] = {c.peer: {} for c in (own, *received)}
    for name in own.tensors:
        holders = [c for c in received if name in c.tensors]
        for peer, weight in _coefficients(name, own, holders, shares).items():
            coefficients[peer][name] = weight
    return slices.average(
        [
            slices.Contribution({n: c.tensors[n] for n in own.tensors if n in c.tensors}, weights)
            for c, weights in zip((own, *received), coefficients.values(), strict=True)
        ]
    )


def _coefficients(
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
