"""A bar for each category, with its interval where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfplus.report import colours
from tfplus.report.axes import value_axis
from tfplus.report.figures import BarFigure
from tfplus.report.svg import Mark
from tfplus.report.units import ABSENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 0.72
_MOST_NAMED = 12


def draw(axes: Axes, figure: BarFigure, key: str) -> dict[str, Mark]:
    """Draws one panel.

    Args:
      axes: to draw on.
      figure: what to draw.
      key: tells its parts from those of other panels.
    """
    values = [v for v in figure.values if v is not None]
    value_axis(
        axes, figure.axis, values + [end for ends in figure.intervals if ends for end in ends]
    )
    marks: dict[str, Mark] = {}
    for i, (name, value) in enumerate(zip(figure.categories, figure.values, strict=True)):
        if value is None:
            axes.annotate(
                ABSENT, (i, 0), (0, 5), textcoords="offset points", ha="center", va="bottom"
            )
            continue
        (bar,) = axes.bar([i], [value], width=_WIDTH, color=colours.BAR)
        bar.set_gid(f"{key}-bar-{i}")
        said = f"{figure.x_label} {name}: {figure.axis.unit.write(value)}"
        ends = figure.intervals[i] if figure.intervals else None
        if ends:
            drawn = axes.vlines([i], *ends, color=colours.INK, linewidth=1.5)
            drawn.set_gid(f"{key}-interval-{i}")
            low, high = (figure.axis.unit.write(end) for end in ends)
            said += f" [{low}, {high}]"
            marks[f"{key}-interval-{i}"] = Mark({"data-interval": name}, [said])
        marks[f"{key}-bar-{i}"] = Mark({"data-bar": name}, [said])
    every = -(-len(figure.categories) // _MOST_NAMED)
    places = list(range(0, len(figure.categories), every))
    axes.set_xticks(places, [figure.categories[i] for i in places])
    axes.set_xlim(-0.6, len(figure.categories) - 0.4)
    axes.set_xlabel(figure.x_label)
    return marks
