"""One HTML file that needs nothing else: style, drawings and data inside, no script.

What these functions return is well-formed XML; texts that they are given are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from urllib.parse import quote

from tfplus.report import colours, drawing, line_drawing
from tfplus.report.figures import Data, Figure, LineFigure, data_of
from tfplus.report.units import ABSENT


@dataclass(frozen=True)
class Tile:
    """One headline number.

    Attributes:
      label: what it is.
      value: with its unit.
      note: below it.
      is_main: the one that the page is about.
    """

    label: str
    value: str
    note: str = ""
    is_main: bool = False


def page(title: str, body: Sequence[str]) -> str:
    """The whole file."""
    style = resources.files("tfplus.report").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def heading(title: str, text: str) -> str:
    """The top of the page."""
    return f"<h1>{escape(title)}</h1><p>{escape(text)}</p>"


def section(title: str, note: str, content: str) -> str:
    """A card with a title, a note and content that is markup."""
    said = f"<p>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{content}</section>"


def tiles(of: Sequence[Tile]) -> str:
    """Headline numbers side by side."""
    cells = (
        f'<div class="{"main" if tile.is_main else ""}"><dt>{escape(tile.label)}</dt>'
        f"<dd>{escape(tile.value)}<small>{escape(tile.note)}</small></dd></div>"
        for tile in of
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A table whose columns from `numbers` on are aligned to the right, where it has a head."""

    def style(column: int) -> str:
        return ' class="number"' if any(head) and column >= numbers else ""

    if not rows:
        return absent("none were recorded")
    titles = "".join(f"<th{style(i)}>{escape(h)}</th>" for i, h in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{style(i)}>{escape(c)}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def figure(of: Figure) -> str:
    """A drawing for wide and one for narrow pages, and its data below as a table and as CSV.

    Raises:
      MissingExtraError: matplotlib is not installed.
    """
    if not of.has_values:
        return absent("no values were recorded")
    data = "".join(_data(of, part, number) for number, part in enumerate(data_of(of)))
    return (
        f'<figure><div class="wide">{drawing.svg(of, drawing.WIDE)}</div>'
        f'<div class="narrow">{drawing.svg(of, drawing.NARROW)}{_legend(of)}</div>'
        f"<details><summary>Data</summary>{data}</details></figure>"
    )


def absent(what: str) -> str:
    """Says that something is missing."""
    return f'<p class="none">{ABSENT} {escape(what)}</p>'


def _data(of: Figure, data: Data, number: int) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", of.title.lower()).strip("-")
    name += f"-{number + 1}" if number else ""
    link = f"data:text/csv;charset=utf-8,{quote(data.csv())}"
    return (
        f"{table([c.name for c in data.columns], data.rows(), numbers=0)}"
        f'<p><a download="{name}.csv" href="{link}">{name}.csv</a></p>'
    )


def _legend(of: Figure) -> str:
    if not isinstance(of, LineFigure):
        return ""
    entries = [(line.name, *line_drawing.style_of(of, line)) for line in of.lines]
    entries += [
        (f"{r.name} {of.axis.unit.write(r.value)}", colours.SOFT, True) for r in of.references
    ]
    items = (
        f'<li><span class="key{" dashed" if is_dashed else ""}" '
        f'style="color: {colours.variable(colour)}"></span>{escape(name)}</li>'
        for name, colour, is_dashed in entries
    )
    return f'<ul class="legend">{"".join(items)}</ul>'
