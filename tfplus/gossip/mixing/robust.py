"""Mixing that a broken or hostile neighbour cannot pull far: clipped gossip and the trimmed mean.

Both bound what one neighbour does to the average; neither finds out who lies. They cost agreement:
where honest neighbours differ, as on data that differ, they average less than Metropolis does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.metropolis import metropolis_weights
from tfplus.gossip.mixing.rule import weighted_average
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor


@dataclass(frozen=True)
class Clipped:
    """Metropolis over what neighbours say, each moved to at most a radius from the node's own.

    x_i' = Σ_j m_ij (x_i + clip(x_j − x_i, τ)), slice by slice, where clip scales its argument to a
    norm of at most τ. The radius is the median of the neighbours' distances, so that a minority of
    them, however far away, moves the node no further than honest ones do; with one neighbour none
    is clipped, and with two the nearer one sets the radius.

    Source: He, Karimireddy, Jaggi, "Byzantine-robust decentralized learning via ClippedGossip",
    arXiv:2202.01545; the median takes the place of its oracle radius.
    """

    name: str = "clipped"
    keeps_mean: bool = False

    def mix(self, own: RoundContribution, received: Sequence[RoundContribution]) -> SliceSet:
        """Averages the node's slices with those received, see `rule.Mixing`."""
        shares = metropolis_weights(own.degree, {c.peer: c.degree for c in received})
        moved: dict[str, dict[str, Tensor]] = {c.peer: dict(c.tensors) for c in received}
        for name, mine in own.tensors.items():
            holders = [c for c in received if _fits(mine, c.tensors.get(name))]
            distances = {c.peer: _distance(mine, c.tensors[name]) for c in holders}
            radius = _low_median(list(distances.values()))
            for peer, distance in distances.items():
                if distance > radius:
                    moved[peer][name] = _towards(mine, moved[peer][name], radius / distance)
        clipped = [
            RoundContribution(
                c.peer, c.incarnation, c.round, c.degree, SliceSet(moved[c.peer]), c.slice_weights
            )
            for c in received
        ]
        return weighted_average(own, clipped, shares)


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of each value over the node and its neighbours, without the extremes among them.

    Of h holders of a slice, ⌊(h − 1) / 4⌋ of the largest and of the smallest values are left out,
    value by value; with fewer than four neighbours that is none, and it is `uniform`. Samples
    weigh what is left.

    Source: Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning: towards
    optimal statistical rates", ICML 2018.
    """

    name: str = "trimmed-mean"
    keeps_mean: bool = False

    def mix(self, own: RoundContribution, received: Sequence[RoundContribution]) -> SliceSet:
        """Averages the node's slices with those received, see `rule.Mixing`."""
        share = 1.0 / (1.0 + len(received))
        mixed = weighted_average(own, received, {c.peer: share for c in received})
        ordered = [own, *sorted(received, key=lambda c: c.peer)]
        trimmed: dict[str, Tensor] = {}
        for name in own.tensors:
            holders = [c for c in ordered if name in c.tensors]
            cut = (len(holders) - 1) // 4
            if cut:
                trimmed[name] = _trimmed(name, holders, cut)
        return mixed.replaced(trimmed) if trimmed else mixed


def _trimmed(name: str, holders: Sequence[RoundContribution], cut: int) -> Tensor:
    first = holders[0].tensors[name]
    values = np.stack([c.tensors[name] for c in holders]).astype(np.float64)
    weights = np.array([float(c.slice_weights[name]) for c in holders])
    if not weights.any():
        weights[:] = 1.0
    order = np.argsort(values, axis=0, kind="stable")[cut:-cut]
    kept = np.take_along_axis(values, order, axis=0)
    shares = (weights / weights.max())[order]
    total = shares.sum(axis=0)
    # Where nobody who is left has samples, they all weigh the same.
    shares, total = np.where(total > 0, shares, 1.0), np.where(total > 0, total, len(kept))
    # Kept between those values also where the sum rounds.
    mean = np.clip((shares * kept).sum(axis=0) / total, kept.min(axis=0), kept.max(axis=0))
    return mean.astype(first.dtype)


def _fits(mine: Tensor, other: Tensor | None) -> bool:
    return other is not None and other.shape == mine.shape and other.dtype == mine.dtype


def _distance(a: Tensor, b: Tensor) -> float:
    return float(np.linalg.norm((b.astype(np.float64) - a.astype(np.float64)).ravel()))


def _low_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2] if values else 0.0


def _towards(mine: Tensor, other: Tensor, share: float) -> npt.NDArray[np.generic]:
    start = mine.astype(np.float64)
    return (start + share * (other.astype(np.float64) - start)).astype(mine.dtype)
