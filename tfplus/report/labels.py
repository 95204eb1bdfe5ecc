"""Labels that do not cover each other."""

from __future__ import annotations

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as a gap between neighbours allows.

    The sum of the squared distances is the least that there is: less the gaps before it, each place
    must not be below the one before, which is isotonic regression, solved by pooling neighbours
    that are in each other's way.

    Args:
      wanted: places along a line.
      gap: the least between two.
      low: the first place that there is.
      high: the last one. Where the range is too short for all, they reach beyond it.

    Returns:
      A place for each of `wanted`, in its order; of equal ones the first is the lowest.

    Examples:
      >>> spread([5.0, 5.0, 40.0], gap=10.0, low=0.0, high=50.0)
      [0.0, 10.0, 40.0]
      >>> spread([48.0, 49.0], gap=10.0, low=0.0, high=50.0)
      [40.0, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Sum and number of the places that were pooled.
    pools: list[tuple[float, int]] = []
    for number, i in enumerate(order):
        pool = (wanted[i] - number * gap, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            total, count = pools.pop()
            pool = (total + pool[0], count + pool[1])
        pools.append(pool)
    last = high - (len(wanted) - 1) * gap
    fitted = [max(low, min(last, total / count)) for total, count in pools for _ in range(count)]
    found = {i: fitted[number] + number * gap for number, i in enumerate(order)}
    return [found[i] for i in range(len(wanted))]


def shortened(name: str, length: int) -> str:
    """A name of at most `length` characters, cut with an ellipsis."""
    return name if len(name) <= length else f"{name[: length - 1]}…"
