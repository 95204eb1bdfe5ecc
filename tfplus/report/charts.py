"""Line and bar charts as SVG text: numbers in, markup out, nothing read and nothing written.

Colours come from the style sheet by class (`s0` to `s7`, `lead`, `reference`), so that one chart
serves light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LEFT = 74
RIGHT = 150
TOP = 14
BOTTOM = 40
SERIES_COLOURS = 8
LABEL_HEIGHT = 15
NAME_CHARS = 12
Value = float | None


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
      name: shown beside its end, in the legend and on hovering.
      values: one for each x; None where there is none, which leaves a gap.
      leading: drawn heavier than the others.
    """

    name: str
    values: Sequence[Value]
    leading: bool = False


@dataclass(frozen=True)
class Reference:
    """A level to compare with, drawn across the whole chart."""

    name: str
    value: float


@dataclass(frozen=True)
class Scale:
    """Maps data to the coordinates of a drawing `height` units high.

    Attributes:
      first: smallest x.
      last: largest x.
      low: y at the bottom.
      high: y at the top.
      height: of the drawing.
      right: margin on the right.
    """

    first: float
    last: float
    low: float
    high: float
    height: int
    right: int = RIGHT

    def x(self, value: float) -> float:
        """Horizontal coordinate; a single x stands in the middle."""
        span = WIDTH - LEFT - self.right
        if self.last == self.first:
            return LEFT + span / 2
        return LEFT + span * (value - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        """Vertical coordinate, which grows downwards."""
        span = self.height - TOP - BOTTOM
        return TOP + span * (1 - (value - self.low) / (self.high - self.low))


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that reach from `low` to `high`.

    The last one is at or above `high`, so that it can be the top of an axis.
    """
    if not high > low:
        high = low + 1
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(start, end + 1)]


def line_chart(
    title: str,
    xs: Sequence[int],
    series: Sequence[Series],
    write: Callable[[float], str],
    *,
    y_label: str,
    top: float | None = None,
    references: Sequence[Reference] = (),
    height: int = 340,
) -> str:
    """Draws lines over rounds, each labelled at its end.

    Args:
      title: read out by screen readers.
      xs: rounds, ascending.
      series: lines; each has as many values as `xs`.
      write: a value as text.
      y_label: what the vertical axis counts.
      top: end of the vertical axis; from the values if it is not given.
      references: horizontal levels.
      height: of the drawing.
    """
    known = [v for s in series for v in s.values if v is not None]
    known += [r.value for r in references]
    if not xs or not known:
        return '<p class="none">— no values were recorded</p>'
    levels = ticks(0.0, top if top is not None else max(known))
    scale = Scale(xs[0], xs[-1], 0.0, top if top is not None else levels[-1], height)
    parts = [_open(title, height), *_y_axis(scale, levels, write, y_label), *_x_axis(scale, xs)]
    labels: list[tuple[float, str, str]] = []
    for reference in references:
        y = scale.y(reference.value)
        parts.append(
            f'<line class="reference" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.2f}" y2="{y:.2f}"/>'
        )
        labels.append((y, "reference", _end_label(reference.name, write(reference.value))))
    order = sorted(enumerate(series), key=lambda item: item[1].leading)
    for index, line in order:
        style = _style(index, line, series)
        parts += _line(scale, xs, line, style, write)
        ends = [v for v in line.values if v is not None]
        if ends:
            labels.append((scale.y(ends[-1]), style, _end_label(line.name, write(ends[-1]))))
    parts += _end_labels(labels, height)
    return "".join([*parts, "</svg>", _legend(series)])


def bar_chart(
    title: str,
    xs: Sequence[int],
    values: Sequence[Value],
    write: Callable[[float], str],
    *,
    y_label: str,
    height: int = 240,
) -> str:
    """Draws one bar a round; a value that is absent is marked as such, never as a bar of no height.

    Args:
      title: read out by screen readers.
      xs: rounds.
      values: one for each of `xs`.
      write: a value as text.
      y_label: what the vertical axis counts.
      height: of the drawing.
    """
    known = [v for v in values if v is not None]
    if not xs or not known:
        return '<p class="none">— no values were recorded</p>'
    levels = ticks(0.0, max(known), 4)
    right = 12
    scale = Scale(0, len(xs), 0.0, levels[-1], height, right)
    slot = (WIDTH - LEFT - right) / len(xs)
    width = min(slot * 0.72, 56)
    parts = [_open(title, height), *_y_axis(scale, levels, write, y_label)]
    shown = set(_thinned(xs, limit=20))
    base = scale.y(0)
    for i, (x, value) in enumerate(zip(xs, values, strict=True)):
        middle = LEFT + slot * (i + 0.5)
        if x in shown:
            parts.append(_text(middle, height - BOTTOM + 18, str(x), "tick", "middle"))
        if value is None:
            parts.append(_text(middle, base - 5, "—", "value", "middle"))
            continue
        y = scale.y(value)
        parts.append(
            f'<rect class="bar" data-round="{x}" x="{middle - width / 2:.2f}" y="{y:.2f}" '
            f'width="{width:.2f}" height="{base - y:.2f}" rx="2">'
            f"<title>round {x}: {escape(write(value))}</title></rect>"
        )
        if len(xs) <= 10:
            parts.append(_text(middle, y - 5, write(value), "value", "middle"))
    parts.append(_text((LEFT + WIDTH - right) / 2, height - 6, "round", "axis", "middle"))
    return "".join([*parts, "</svg>"])


def _line(
    scale: Scale,
    xs: Sequence[int],
    line: Series,
    style: str,
    write: Callable[[float], str],
) -> list[str]:
    name = escape(line.name, quote=True)
    parts: list[str] = []
    run: list[str] = []
    dots: list[str] = []
    for x, value in [*zip(xs, line.values, strict=True), (0, None)]:
        if value is not None:
            run.append(f"{scale.x(x):.2f},{scale.y(value):.2f}")
            dots.append(
                f'<circle class="{style}" cx="{scale.x(x):.2f}" cy="{scale.y(value):.2f}" r="3">'
                f"<title>{name}, round {x}: {escape(write(value))}</title></circle>"
            )
        elif run:
            parts.append(
                f'<polyline class="line {style}" data-series="{name}" points="{" ".join(run)}"/>'
            )
            run = []
    return parts + dots


def _style(index: int, line: Series, series: Sequence[Series]) -> str:
    if line.leading:
        return "lead"
    followers = [i for i, s in enumerate(series) if not s.leading]
    place = followers.index(index)
    # Beyond the colours that can be told apart, lines are dashed.
    return f"s{place % SERIES_COLOURS}" + (" dashed" if place >= SERIES_COLOURS else "")


def _end_label(name: str, value: str) -> str:
    return f"{name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + '…'} {value}"


def _end_labels(labels: Sequence[tuple[float, str, str]], height: int) -> list[str]:
    placed: list[str] = []
    lowest = height - BOTTOM + 4
    order = sorted(labels)
    ys = [y for y, _, _ in order]
    # Push apart downwards, then back up from the bottom where there was no room.
    for i in range(1, len(ys)):
        ys[i] = max(ys[i], ys[i - 1] + LABEL_HEIGHT)
    for i in reversed(range(len(ys))):
        limit = lowest if i == len(ys) - 1 else ys[i + 1] - LABEL_HEIGHT
        ys[i] = min(ys[i], limit)
    for y, (at, style, text) in zip(ys, order, strict=True):
        x = WIDTH - RIGHT
        if abs(y - at) > 1:
            placed.append(
                f'<line class="leader" x1="{x + 3}" y1="{at:.2f}" x2="{x + 10}" y2="{y:.2f}"/>'
            )
        placed.append(_text(x + 13, y + 4, text, f"label {style}", "start"))
    return placed


def _open(title: str, height: int) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>"
    )


def _y_axis(
    scale: Scale, levels: Sequence[float], write: Callable[[float], str], label: str
) -> list[str]:
    parts: list[str] = []
    for level in levels:
        y = scale.y(level)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - scale.right}" y1="{y:.2f}" y2="{y:.2f}"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, write(level), "tick", "end"))
    middle = (scale.y(scale.low) + scale.y(scale.high)) / 2
    parts.append(
        f'<text class="axis" text-anchor="middle" transform="translate(10 {middle:.0f}) '
        f'rotate(-90)">{escape(label)}</text>'
    )
    return parts


def _x_axis(scale: Scale, xs: Sequence[int]) -> list[str]:
    y = scale.height - BOTTOM + 18
    parts = [_text(scale.x(x), y, str(x), "tick", "middle") for x in _thinned(xs, limit=16)]
    middle = (LEFT + WIDTH - scale.right) / 2
    return [*parts, _text(middle, scale.height - 6, "round", "axis", "middle")]


def _thinned(xs: Sequence[int], limit: int) -> list[int]:
    return list(xs[:: math.ceil(len(xs) / limit)])


def _legend(series: Sequence[Series]) -> str:
    entries = (
        f'<li><span class="key {_style(i, s, series)}"></span>{escape(s.name)}</li>'
        for i, s in enumerate(series)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    place = f'x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'
