"""Which layers are frozen: the choice of a freeze point by what its head came to. Pure.

A policy is a function of this form; `ServerConfig.choose` takes another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A layer behind which a model may be cut, and what its head came to.

    Attributes:
      layer: the last frozen one, for people.
      accuracy: of the trained head on samples that were held out, 0 to 1.
      loss: mean on the same samples.
      held_out: how many these were; at least 1, and the same for all points.
      feature_bytes: of one sample's features, as they are kept and sent.
      train_s: seconds that the training of the head took.
    """

    layer: str
    accuracy: float
    loss: float
    held_out: int
    feature_bytes: int
    train_s: float


@dataclass(frozen=True)
class Choice:
    """What a policy chose.

    Attributes:
      place: of the chosen point among those that were given.
      why: for people, in a sentence.
    """

    place: int
    why: str


Policy = Callable[[Sequence[Point]], Choice]


def one_standard_error(points: Sequence[Point]) -> Choice:
    """The cheapest point that is not surely worse than the best one.

    Best is the highest accuracy, of equal ones the lowest loss. A point counts as good as the best
    where its accuracy is at most one standard error of the best one's lower, √(a (1 − a) / n) for
    an accuracy a on n samples: the 1 SE rule of Breiman, Friedman, Olshen and Stone (Classification
    and Regression Trees, 1984, section 3.4.3). Of those the fewest bytes a sample are taken, then
    the shortest training, then what was given first.

    Args:
      points: at least one.
    """
    best = min(points, key=lambda point: (-point.accuracy, point.loss))
    error = math.sqrt(best.accuracy * (1 - best.accuracy) / best.held_out)
    # Equal accuracies stay equal where their difference is rounded.
    lowest = best.accuracy - error - 1e-9
    good = [place for place, point in enumerate(points) if point.accuracy >= lowest]
    place = min(good, key=lambda p: (points[p].feature_bytes, points[p].train_s))
    taken = points[place]
    about = (
        f"'{taken.layer}': {taken.accuracy:.3f} of {taken.held_out} held-out samples right, "
        f"{taken.feature_bytes} bytes a sample, head trained in {taken.train_s:.2f} s; "
    )
    if taken == best:
        better = "the best" if len(good) == 1 else f"the best, and the cheapest of {len(good)} good"
        return Choice(place, about + better)
    return Choice(
        place,
        about + f"the best, '{best.layer}' ({best.accuracy:.3f}, {best.feature_bytes} bytes), is "
        f"no more than one standard error ({error:.3f}) above it",
    )
