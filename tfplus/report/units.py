"""Numbers as people read them: values with their unit, and the ticks of an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ABSENT = "—"
Value = float | None
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Unit:
    """What a number counts.

    Attributes:
      base: the unit of the plain number, for CSV; empty for none.
      scales: number → the unit in which an axis that ends there is labelled, largest first.
      text: a number with its unit.
    """

    base: str
    scales: tuple[tuple[float, str], ...]
    text: Callable[[float], str]

    def write(self, value: Value) -> str:
        """A value, or a dash where there is none."""
        return ABSENT if value is None else self.text(value)

    def scale(self, top: float) -> tuple[float, str]:
        """Divisor and unit of an axis.

        Args:
          top: the largest number on it.
        """
        return next((s for s in self.scales if top >= s[0]), self.scales[-1])


def tick_texts(levels: Sequence[float], divisor: float) -> list[str]:
    """The ticks of an axis, each with as many decimals as tell all of them apart exactly.

    Args:
      levels: the ticks, evenly spaced.
      divisor: of the axis' unit.
    """
    values = [level / divisor for level in levels]
    span = max(map(abs, values), default=0.0) or 1.0

    def is_exact(digits: int) -> bool:
        return all(abs(round(v, digits) - v) <= 1e-7 * span for v in values)

    digits = next((d for d in range(_MOST_DIGITS) if is_exact(d)), _MOST_DIGITS)
    return [f"{round(v, digits) + 0.0:,.{digits}f}" for v in values]


def _percent(value: float) -> str:
    return f"{value * 100:.1f}".removesuffix(".0") + " %"


def _seconds(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f} s"
    if value >= 1 or value == 0:
        return f"{value:.1f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _bytes(value: float) -> str:
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


FRACTION = Unit("fraction", ((0.01, "%"),), _percent)
SECONDS = Unit("s", ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")), _seconds)
BYTES = Unit("bytes", ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")), _bytes)
PLAIN = Unit("", ((1.0, ""),), lambda value: f"{value:.3g}")
COUNT = Unit("", ((1.0, ""),), lambda value: f"{value:,.0f}")
