"""Push-sum: the exact mean over links that go one way and lose messages.

A node holds a sum s and a weight w, 1 at first; its estimate is s / w. Each time it keeps an equal
share of both and gives one to each of those it sends to. Where links go one way, columns of the
mixing matrix sum to 1 and rows do not: the weight takes out again what that does to the sum.

A message that is lost would take its mass along. So a message carries all that ever went over its
link, and the receiver takes what is new since the last that came: the next brings what was lost.

    Σ over nodes of s  +  Σ over links of (sent − received)  =  what it was at the beginning.

References:
  Kempe, Dobra, Gehrke, "Gossip-based computation of aggregate information", FOCS 2003.
  Hadjicostis, Vaidya, Domínguez-García, "Robust distributed average consensus via exchange of
  running sums", IEEE Transactions on Automatic Control 61(6), 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.errors import TensorError

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mass:
    """What went over a link so far.

    Attributes:
      number: how often it was sent; the larger is the newer.
      total: sum of all shares, float64 of the vector's shape.
      weight: sum of their weights.
    """

    number: int
    total: Vector
    weight: float


class PushSum:
    """One node.

    Args:
      value: what it brings to the mean, of any shape; taken as float64.
      to: whom it sends to.
      weight: how much its value counts: the estimate goes to Σ w x / Σ w.
    """

    def __init__(self, value: npt.ArrayLike, to: Sequence[str], weight: float = 1.0) -> None:
        self.weight = float(weight)
        self.total: Vector = np.asarray(value, np.float64) * self.weight
        self._zero = np.zeros_like(self.total)
        self._sent: dict[str, Mass] = {peer: Mass(0, self._zero, 0.0) for peer in to}
        self._received: dict[str, Mass] = {}

    @property
    def estimate(self) -> Vector:
        """What it holds the mean for."""
        return self.total / self.weight

    def push(self) -> dict[str, Mass]:
        """Gives shares away: neighbour → what to send it. A node keeps one share for itself."""
        parts = len(self._sent) + 1
        share, weight = self.total / parts, self.weight / parts
        for peer, before in self._sent.items():
            mass = Mass(before.number + 1, before.total + share, before.weight + weight)
            self._sent[peer] = mass
        self.total, self.weight = share, weight
        return dict(self._sent)

    def receive(self, peer: str, mass: Mass) -> bool:
        """Takes what is new since the last that came; false for what is old or came twice.

        Raises:
          TensorError: it is of another shape, or not finite, or its weight shrinks.
        """
        before = self._received.get(peer, Mass(0, self._zero, 0.0))
        if mass.number <= before.number:
            return False
        if mass.total.shape != self.total.shape:
            raise TensorError(
                f"'{peer}': expected a sum of shape {list(self.total.shape)}, got "
                f"{list(mass.total.shape)}"
            )
        if not (np.isfinite(mass.total).all() and math.isfinite(mass.weight)):
            raise TensorError(f"'{peer}': expected a finite sum, got NaN or infinity")
        if mass.weight < before.weight:
            raise TensorError(
                f"'{peer}': expected a weight that grows, got {mass.weight:g} after "
                f"{before.weight:g}"
            )
        self.total = self.total + (mass.total - before.total)
        self.weight += mass.weight - before.weight
        self._received[peer] = mass
        return True

    def under_way(self, peer: str, received: PushSum, own: str) -> tuple[Vector, float]:
        """Mass on the link to `peer` that has not come yet: (sum, weight)."""
        sent = self._sent[peer]
        came = received._received.get(own, Mass(0, self._zero, 0.0))
        return sent.total - came.total, sent.weight - came.weight
