"""The look of axes: a grid of round numbers, no box around it, each tick written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfplus.report import colours
from tfplus.report.figures import Axis
from tfplus.report.units import tick_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ABOUT_TICKS = 5


def value_axis(axes: Axes, axis: Axis, values: Sequence[float]) -> None:
    """Sets up the vertical axis, from zero or the lowest value to a round number above all.

    Args:
      axes: to draw on.
      axis: what is counted.
      values: all that are shown.
    """
    from matplotlib.ticker import MaxNLocator

    low = min(0.0, *values) if values else 0.0
    high = axis.top if axis.top is not None else max([0.0, *values])
    if not high > low:
        high = low + 1.0
    locator = MaxNLocator(_ABOUT_TICKS, steps=[1, 2, 5, 10])
    levels = [float(level) for level in locator.tick_values(low, high)]
    if axis.top is not None:
        levels = [level for level in levels if level <= axis.top * (1 + 1e-9)]
    divisor, unit = axis.unit.scale(max(map(abs, levels)))
    axes.set_ylim(levels[0], axis.top if axis.top is not None else levels[-1])
    axes.set_yticks(levels, tick_texts(levels, divisor))
    axes.set_ylabel(f"{axis.label}, {unit}" if unit else axis.label)
    axes.grid(visible=True, axis="y", color=colours.RULE, linewidth=1.0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
