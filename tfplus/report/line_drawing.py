"""Lines over whole numbers, each labelled at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfplus.report import colours
from tfplus.report.axes import value_axis
from tfplus.report.figures import Line, LineFigure
from tfplus.report.labels import shortened, spread
from tfplus.report.svg import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

LABEL_HEIGHT = 15
_NAME_LENGTH = 12
_AXIS_HEIGHT = 80
_ABOUT_TICKS = 8
_MARKER = 5.0
# Where there are so many points that markers would touch, the line says it all.
_SMALL_MARKER = 2.5
_MANY = 60


@dataclass(frozen=True)
class EndLabels:
    """The labels beside a panel, whose places are to be spread once the panel has its own.

    Attributes:
      axes: of the panel.
      labels: with the value that each stands beside.
    """

    axes: Axes
    labels: list[tuple[float, Annotation]]

    def spread(self) -> None:
        """Moves labels apart that would cover each other."""
        to_pixels = self.axes.transData.transform
        low, high = (float(to_pixels((0, limit))[1]) for limit in self.axes.get_ylim())
        # Of equal values the first stands on top.
        labels = self.labels[::-1]
        wanted = [float(to_pixels((0, value))[1]) for value, _ in labels]
        places = spread(wanted, LABEL_HEIGHT, low, high)
        for (_, label), at, place in zip(labels, wanted, places, strict=True):
            x, _ = label.get_position()
            label.set_position((x, place - at))


def least_height(figure: LineFigure) -> int:
    """Of a panel whose labels all have room."""
    count = len(figure.lines) + len(figure.references)
    return count * LABEL_HEIGHT + _AXIS_HEIGHT


def style_of(figure: LineFigure, line: Line) -> tuple[str, bool]:
    """The colour of a line, and whether it is dashed: beyond the colours that can be told apart."""
    if line.is_leading:
        return colours.LEAD, False
    followers = [other for other in figure.lines if not other.is_leading]
    place = next(i for i, other in enumerate(followers) if other is line)
    return colours.SERIES[place % len(colours.SERIES)], place >= len(colours.SERIES)


def draw(
    axes: Axes, figure: LineFigure, key: str, *, with_ends: bool
) -> tuple[dict[str, Mark], EndLabels]:
    """Draws one panel.

    Args:
      axes: to draw on; 72 dots an inch, so that a pixel is a point.
      figure: what to draw.
      key: tells its parts from those of other panels.
      with_ends: label the lines at their ends.
    """
    references = [reference.value for reference in figure.references]
    known = [v for line in figure.lines for v in line.values if v is not None]
    value_axis(axes, figure.axis, known + references)
    axes.set_xlabel(figure.x_label)
    axes.set_xticks(_round_numbers(figure.xs))
    marks: dict[str, Mark] = {}
    ends = EndLabels(axes, [])
    for i, reference in enumerate(figure.references):
        drawn = axes.axhline(reference.value, color=colours.SOFT, linewidth=1.5, dashes=(4, 3))
        drawn.set_gid(f"{key}-reference-{i}")
        marks[f"{key}-reference-{i}"] = Mark({"data-reference": reference.name})
        if with_ends:
            ends.labels.append(_label(axes, figure, reference.name, reference.value, colours.SOFT))
    for i, line in enumerate(figure.lines):
        colour, is_dashed = style_of(figure, line)
        (drawn,) = axes.plot(
            list(figure.xs),
            [math.nan if v is None else v for v in line.values],
            color=colour,
            linewidth=3.0 if line.is_leading else 1.75,
            linestyle=(0, (3, 3)) if is_dashed else "solid",
            marker="o",
            markersize=_MARKER if len(figure.xs) <= _MANY else _SMALL_MARKER,
            zorder=3.0 if line.is_leading else 2.0,
            clip_on=False,
        )
        drawn.set_gid(f"{key}-line-{i}")
        marks[f"{key}-line-{i}"] = _mark(figure, line)
        ended = [v for v in line.values if v is not None]
        if with_ends and ended:
            ends.labels.append(_label(axes, figure, line.name, ended[-1], colour))
    if len(figure.xs) == 1:
        axes.set_xlim(figure.xs[0] - 1, figure.xs[0] + 1)
    else:
        axes.set_xlim(figure.xs[0], figure.xs[-1])
    return marks, ends


def _round_numbers(xs: Sequence[int]) -> list[int]:
    """Ticks from the first on, a round number apart."""
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(_ABOUT_TICKS, integer=True, steps=[1, 2, 5, 10])
    found = [round(x) for x in locator.tick_values(xs[0], xs[-1]) if xs[0] <= x <= xs[-1]]
    if len(found) < 2:
        return sorted({xs[0], xs[-1]})
    is_free = found[0] - xs[0] >= (found[1] - found[0]) / 2
    return [xs[0], *found] if is_free else [xs[0], *found[1:]]


def _mark(figure: LineFigure, line: Line) -> Mark:
    write = figure.axis.unit.write
    points = [(x, v) for x, v in zip(figure.xs, line.values, strict=True) if v is not None]
    titles = [f"{line.name}, {figure.x_label} {x}: {write(v)}" for x, v in points]
    return Mark({"data-series": line.name}, titles)


def _label(
    axes: Axes, figure: LineFigure, name: str, value: float, colour: str
) -> tuple[float, Annotation]:
    text = f"{shortened(name, _NAME_LENGTH)} {figure.axis.unit.write(value)}"
    label = axes.annotate(
        text,
        (1.0, value),
        (16, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        annotation_clip=False,
        va="center",
        color=colour,
        fontweight="bold",
        arrowprops={
            "arrowstyle": "-",
            "color": colours.SOFT,
            "linewidth": 0.75,
            "shrinkA": 0,
            "shrinkB": 5,
            # From the line's end to the label's left side.
            "relpos": (0, 0.5),
        },
    )
    label.set_gid("end-label")
    return value, label
