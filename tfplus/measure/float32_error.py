"""How large an error may be where float32 itself leaves open what is right.

In a deep net with batch statistics over few values, two correct kernels lead a step percents apart.
"""

from __future__ import annotations

import math

_TIMES = 5.0
_MOST = 0.25


def allowed(tolerance: float, own: float) -> float:
    """The largest error that passes.

    Args:
      tolerance: where float32 is exact enough.
      own: the error of a calculation in float32 that is known to be right; NaN counts as none.
    """
    return tolerance if math.isnan(own) else max(tolerance, min(_TIMES * own, _MOST))
