"""A bar for each category, with its interval where there is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tfplus.report import colours
from tfplus.report.axes import value_axis
from tfplus.report.figures import BarFigure
from tfplus.report.labels import shortened
from tfplus.report.svg import Mark
from tfplus.report.units import ABSENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 0.72
_MOST_NAMED, _MOST_TILTED = 12, 40
# Of a letter, of what stands beside the bars, in pixels.
_LETTER, _BESIDE = 6.6, 70
_TILT_DEGREES = 40
_LONGEST_TILTED = 34


def is_crowded(figure: BarFigure, width: float) -> bool:
    """Whether the names below the bars would cover each other on a panel of that width."""
    shown = min(len(figure.categories), _MOST_NAMED)
    longest = max(map(len, figure.categories), default=0)
    return shown * (longest + 1) * _LETTER > width - _BESIDE


def least_height(figure: BarFigure, width: float) -> int:
    """Of a panel whose names all have room: tilted ones stand below the bars."""
    if not is_crowded(figure, width):
        return figure.height
    longest = min(max(map(len, figure.categories)), _LONGEST_TILTED)
    return figure.height + round(longest * _LETTER * math.sin(math.radians(_TILT_DEGREES)))


def draw(axes: Axes, figure: BarFigure, key: str, width: float) -> dict[str, Mark]:
    """Draws one panel.

    Args:
      axes: to draw on.
      figure: what to draw.
      key: tells its parts from those of other panels.
      width: of the panel, in pixels.
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
    crowded = is_crowded(figure, width)
    every = -(-len(figure.categories) // (_MOST_TILTED if crowded else _MOST_NAMED))
    places = list(range(0, len(figure.categories), every))
    if crowded:
        names = [shortened(figure.categories[i], _LONGEST_TILTED) for i in places]
        axes.set_xticks(places, names, rotation=_TILT_DEGREES, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(places, [figure.categories[i] for i in places])
    axes.set_xlim(-0.6, len(figure.categories) - 0.4)
    axes.set_xlabel(figure.x_label)
    return marks
