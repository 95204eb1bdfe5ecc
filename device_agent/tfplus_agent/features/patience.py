"""Trying again where a server cannot be reached: longer and longer waits, each drawn at random."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfplus.errors import UnreachableError

_FIRST_S, _LONGEST_S = 1.0, 60.0
T = TypeVar("T")


def with_retries(
    work: Callable[[], T],
    for_s: float,
    rng: np.random.Generator,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Does something until it works, or the time is up.

    Waits are uniform between 0 and a bound that doubles from 1 s to 60 s, so that many devices that
    lost one server do not come back together.

    Args:
      work: what may be done again.
      for_s: from the first try on; 0 for one try.
      rng: draws the waits.
      sleep: waits some seconds.
      clock: seconds.

    Raises:
      UnreachableError: the last try's.
    """
    until, bound_s = clock() + for_s, _FIRST_S
    while True:
        try:
            return work()
        except UnreachableError:
            wait_s = float(rng.uniform(0.0, bound_s))
            if clock() + wait_s > until:
                raise
            sleep(wait_s)
            bound_s = min(_LONGEST_S, 2 * bound_s)
