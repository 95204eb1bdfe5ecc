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


# Of all points, and of the place of the one that is published.
Policy = Callable[[Sequence[Point], int], Choice]


def one_standard_error(points: Sequence[Point], current: int) -> Choice:
    """The cheapest point that is not surely worse than the best one; who is good enough stays.

    Best is the highest accuracy, of equal ones the lowest loss. A point counts as good as the best
    where its accuracy is at most one standard error of the best one's lower, √(a (1 − a) / n) for
    an accuracy a on n samples: the 1 SE rule of Breiman, Friedman, Olshen and Stone (Classification
    and Regression Trees, 1984, section 3.4.3). Of those the fewest bytes a sample are taken, then
    the current one, the shortest training, what was given first.

    Each move costs every device a file, so that there are two thresholds, as in a Schmitt trigger:
    the current point is left for one of fewer bytes that is within one standard error, and for one
    that is not cheaper only where it is itself more than two standard errors and one held-out
    sample below the best.

    Args:
      points: at least one.
      current: place of the point that is published.
    """
    best = min(points, key=lambda point: (-point.accuracy, point.loss))
    error = math.sqrt(best.accuracy * (1 - best.accuracy) / best.held_out)
    # Equal accuracies stay equal where their difference is rounded.
    lowest = best.accuracy - error - 1e-9
    good = [place for place, point in enumerate(points) if point.accuracy >= lowest]
    place = min(good, key=lambda p: (points[p].feature_bytes, p != current, points[p].train_s))
    now, cheapest = points[current], points[place]
    lowest_to_stay = best.accuracy - 2 * error - 1 / best.held_out - 1e-9
    stays = now.accuracy >= lowest_to_stay and cheapest.feature_bytes >= now.feature_bytes
    taken = now if stays else cheapest
    about = (
        f"'{taken.layer}': {taken.accuracy:.3f} of {taken.held_out} held-out samples right, "
        f"{taken.feature_bytes} bytes a sample, head trained in {taken.train_s:.2f} s; "
    )
    told = f"'{best.layer}' ({best.accuracy:.3f}, {best.feature_bytes} bytes)"
    if taken == best:
        better = "the best" if len(good) == 1 else f"the best, and the cheapest of {len(good)} good"
        return Choice(current if stays else place, about + better)
    if stays and current != place:
        return Choice(
            current,
            about + f"it stays: the best, {told}, is no more than two standard errors "
            f"({2 * error:.3f}) and one sample above it",
        )
    return Choice(
        place,
        about + f"the best, {told}, is no more than one standard error ({error:.3f}) above it",
    )
