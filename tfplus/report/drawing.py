"""Draws figures with matplotlib, one look for all; the extra `analysis` brings it.

Equal figures give equal drawings, byte for byte. Text stays text, in the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tfplus.errors import MissingExtraError
from tfplus.report import bar_drawing, colours, line_drawing
from tfplus.report.figures import BarFigure, Figure, LineFigure, Multiples
from tfplus.report.svg import Mark, embedded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDE = 760
NARROW = 380
_POINTS = 72
# Left out: a date would make each drawing another.
_METADATA = ("Date", "Creator", "Format", "Type")
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    # TrueType: publishers refuse Type 3.
    "pdf.fonttype": 42,
    "font.size": 12.0,
    "font.family": "DejaVu Sans",
    # A name is a text, whatever it holds.
    "text.parse_math": False,
    "text.color": colours.SOFT,
    "axes.labelcolor": colours.SOFT,
    "axes.titlesize": 12.0,
    "xtick.color": colours.SOFT,
    "ytick.color": colours.SOFT,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "path.simplify": False,
}


def svg(figure: Figure, width: int = WIDE) -> str:
    """Draws a figure.

    Args:
      figure: with at least one value.
      width: of the drawing in pixels of a page, `WIDE` or `NARROW`. A narrow one has no labels at
        the ends of its lines, and panels stand one below the other.

    Returns:
      An SVG element for an HTML page.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    with _drawn(figure, width) as (canvas, marks):
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata=dict.fromkeys(_METADATA))
    return embedded(out.getvalue(), figure.title, marks)


def pdf(figure: Figure, width: int = WIDE) -> bytes:
    """Draws a figure as a page of PDF of its own size, fonts embedded, for a paper.

    Args:
      figure: with at least one value.
      width: as for `svg`.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    with _drawn(figure, width) as (canvas, _):
        out = io.BytesIO()
        metadata = {"Title": figure.title, "Creator": None, "CreationDate": None}
        canvas.savefig(out, format="pdf", metadata=metadata)
    return out.getvalue()


@contextmanager
def _drawn(figure: Figure, width: int) -> Generator[tuple[Canvas, dict[str, Mark]]]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as MplFigure
    except ImportError:
        raise MissingExtraError.of("drawing a figure", "analysis") from None

    panels: Sequence[LineFigure | BarFigure] = (
        figure.panels if isinstance(figure, Multiples) else [figure]
    )
    columns = min(figure.columns, len(panels)) if isinstance(figure, Multiples) else 1
    columns = columns if width > NARROW else 1
    rows = -(-len(panels) // columns)
    panel_width = width / columns
    height = max(_height(panel, panel_width) for panel in panels) * rows
    marks: dict[str, Mark] = {}
    # Ids of the drawing come from the salt: those of two figures on a page differ.
    salt = f"{re.sub(r'[^a-z0-9]+', '-', figure.title.lower())}-{width}"
    with mpl.rc_context(cast("Any", _SETTINGS | {"svg.hashsalt": salt})):
        canvas = MplFigure((width / _POINTS, height / _POINTS), layout="constrained")
        canvas.patch.set_visible(False)
        ends: list[line_drawing.EndLabels] = []
        for i, panel in enumerate(panels):
            axes = canvas.add_subplot(rows, columns, i + 1)
            if isinstance(figure, Multiples):
                axes.set_title(panel.title, loc="left", color=colours.INK)
            marks |= _panel(axes, panel, f"panel-{i}", ends, panel_width, with_ends=width > NARROW)
        # Places of labels are known when the axes have theirs.
        canvas.draw_without_rendering()
        for labels in ends:
            labels.spread()
        yield canvas, marks


def _height(panel: LineFigure | BarFigure, width: float) -> int:
    if isinstance(panel, BarFigure):
        return bar_drawing.least_height(panel, width)
    return max(panel.height, line_drawing.least_height(panel))


def _panel(
    axes: Axes,
    panel: LineFigure | BarFigure,
    key: str,
    ends: list[line_drawing.EndLabels],
    width: float,
    *,
    with_ends: bool,
) -> dict[str, Mark]:
    if isinstance(panel, BarFigure):
        return bar_drawing.draw(axes, panel, key, width)
    marks, labels = line_drawing.draw(axes, panel, key, with_ends=with_ends)
    ends.append(labels)
    return marks
