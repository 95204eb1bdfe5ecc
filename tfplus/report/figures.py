"""Figures as data: what they show, and the same as a table. Nothing is drawn here."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfplus.report.units import Unit, Value


@dataclass(frozen=True)
class Axis:
    """The vertical axis.

    Attributes:
      label: what it counts, without the unit.
      unit: of its numbers.
      top: where it ends; None to follow the values.
    """

    label: str
    unit: Unit
    top: float | None = None


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
      name: shown at its end, in the legend and on hovering.
      values: one for each x; None where there is none, which leaves a gap.
      is_leading: drawn heavier than the others.
    """

    name: str
    values: Sequence[Value]
    is_leading: bool = False


@dataclass(frozen=True)
class Reference:
    """A level to compare with, drawn across the whole figure."""

    name: str
    value: float


@dataclass(frozen=True)
class LineFigure:
    """Lines over whole numbers, such as rounds.

    Attributes:
      title: read out by screen readers, and the file name of the data.
      x_label: what the numbers count, such as `round`.
      xs: ascending.
      lines: each has as many values as `xs`.
      axis: the vertical one.
      references: levels to compare with.
      height: of the drawing, in pixels of a page.
    """

    title: str
    x_label: str
    xs: Sequence[int]
    lines: Sequence[Line]
    axis: Axis
    references: Sequence[Reference] = ()
    height: int = 340

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(v is not None for line in self.lines for v in line.values)


@dataclass(frozen=True)
class BarFigure:
    """A bar for each category.

    Attributes:
      title: as of a `LineFigure`; above its panel among several.
      x_label: what the categories are.
      categories: their names.
      values: one for each; None where there is none, which is marked and never a bar of no height.
      axis: the vertical one.
      intervals: lower and upper end for each, drawn over its bar; None where there is none.
      height: of the drawing.
    """

    title: str
    x_label: str
    categories: Sequence[str]
    values: Sequence[Value]
    axis: Axis
    intervals: Sequence[tuple[float, float] | None] = ()
    height: int = 240

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(v is not None for v in self.values)


@dataclass(frozen=True)
class Multiples:
    """Small figures side by side; one below the other on a narrow page.

    Attributes:
      title: of all of them.
      panels: the figures.
      columns: in a row.
    """

    title: str
    panels: Sequence[LineFigure | BarFigure]
    columns: int = 2

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(panel.has_values for panel in self.panels)


Figure = LineFigure | BarFigure | Multiples


@dataclass(frozen=True)
class Column:
    """One column of a figure's data: texts, or numbers of a unit."""

    name: str
    values: Sequence[Value | str]
    unit: Unit | None = None

    def texts(self) -> list[str]:
        """For people."""
        return [v if isinstance(v, str) else self._written(v) for v in self.values]

    def plain(self) -> list[str]:
        """For programs: in full precision, empty where there is none."""
        return ["" if v is None else str(v) for v in self.values]

    def heading(self) -> str:
        """With the unit of the plain numbers."""
        return f"{self.name} [{self.unit.base}]" if self.unit and self.unit.base else self.name

    def _written(self, value: Value) -> str:
        if self.unit is None:
            raise TypeError(f"column {self.name}: numbers need a unit")
        return self.unit.write(value)


@dataclass(frozen=True)
class Data:
    """A figure's data as a table; the first column is that of the horizontal axis."""

    columns: Sequence[Column] = field(default_factory=list[Column])

    def rows(self) -> list[list[str]]:
        """For people."""
        return [list(row) for row in zip(*(c.texts() for c in self.columns), strict=True)]

    def csv(self) -> str:
        """For programs, with a heading."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([c.heading() for c in self.columns])
        writer.writerows(zip(*(c.plain() for c in self.columns), strict=True))
        return out.getvalue()


def data_of(figure: Figure) -> list[Data]:
    """What a figure shows; panels over the same horizontal axis share one table."""
    if isinstance(figure, LineFigure):
        return [Data([_xs(figure), *_columns(figure)])]
    if isinstance(figure, BarFigure):
        return [Data([_xs(figure), *_columns(figure)])]
    axes = {(panel.x_label, tuple(_xs(panel).values)) for panel in figure.panels}
    if len(axes) != 1:
        return [data for panel in figure.panels for data in data_of(panel)]
    columns = [column for panel in figure.panels for column in _columns(panel)]
    return [Data([_xs(figure.panels[0]), *columns])]


def _xs(figure: LineFigure | BarFigure) -> Column:
    if isinstance(figure, LineFigure):
        return Column(figure.x_label, [str(x) for x in figure.xs])
    return Column(figure.x_label, list(figure.categories))


def _columns(figure: LineFigure | BarFigure) -> list[Column]:
    unit = figure.axis.unit
    if isinstance(figure, LineFigure):
        lines = [Column(line.name, list(line.values), unit) for line in figure.lines]
        levels = ((r.name, [r.value] * len(figure.xs)) for r in figure.references)
        return [*lines, *(Column(name, values, unit) for name, values in levels)]
    columns = [Column(figure.axis.label, list(figure.values), unit)]
    for i, name in enumerate(("from", "to")):
        if figure.intervals:
            ends: list[Value | str] = [None if e is None else e[i] for e in figure.intervals]
            columns.append(Column(f"{figure.axis.label} {name}", ends, unit))
    return columns
