"""Figures as drawings and as data."""

from __future__ import annotations

import doctest
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import MissingExtraError
from tfplus.report import colours, drawing, labels, line_drawing, page
from tfplus.report.figures import (
    Axis,
    BarFigure,
    Line,
    LineFigure,
    Multiples,
    data_of,
)
from tfplus.report.units import BYTES, PLAIN, SECONDS

SVG = "{http://www.w3.org/2000/svg}"
BARS = BarFigure(
    "Time of a step",
    "system",
    ["tfplus", "flex", "mnn"],
    [2.0, 4.0, None],
    Axis("time", SECONDS),
    [(1.5, 3.0), (3.8, 4.1), None],
)


def tree(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 the text is our own


def heights(group: ET.Element) -> list[float]:
    (path,) = group.iter(f"{SVG}path")
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", path.attrib["d"])][1::2]


def test_intervals_are_to_scale() -> None:
    root = tree(drawing.svg(BARS))
    groups = {
        (name, value): heights(g)
        for g in root.iter(f"{SVG}g")
        for name, value in g.attrib.items()
        if name.startswith("data-")
    }
    assert set(groups) == {
        (kind, name) for kind in ("data-bar", "data-interval") for name in ("tfplus", "flex")
    }
    bar = groups["data-bar", "flex"]
    base, pixels = max(bar), (max(bar) - min(bar)) / 4.0
    for name, ends in (("tfplus", (1.5, 3.0)), ("flex", (3.8, 4.1))):
        found = groups["data-interval", name]
        assert (base - max(found)) / pixels == pytest.approx(ends[0], abs=0.02)
        assert (base - min(found)) / pixels == pytest.approx(ends[1], abs=0.02)
    said = {t.text for t in root.iter(f"{SVG}title")}
    assert "system tfplus: 2.0 s [1.5 s, 3.0 s]" in said
    # No bar of no height for what was not measured.
    assert "—" in {t.text for t in root.iter(f"{SVG}text")}


def test_the_data_of_bars_has_their_intervals() -> None:
    (data,) = data_of(BARS)
    assert data.rows()[0] == ["tfplus", "2.0 s", "1.5 s", "3.0 s"]
    assert data.rows()[2] == ["mnn", "—", "—", "—"]
    assert data.csv().splitlines() == [
        "system,time [s],time from [s],time to [s]",
        "tfplus,2.0,1.5,3.0",
        "flex,4.0,3.8,4.1",
        "mnn,,,",
    ]


def test_panels_over_other_categories_have_tables_of_their_own() -> None:
    other = BarFigure("Bytes", "round", ["1"], [5.0], Axis("bytes", BYTES))
    both = Multiples("Both", [BARS, other])
    assert [len(d.columns) for d in data_of(both)] == [4, 2]
    same = Multiples("Same", [other, other])
    assert [len(d.columns) for d in data_of(same)] == [3]
    markup = page.figure(both)
    assert 'download="both.csv"' in markup
    assert 'download="both-2.csv"' in markup


def test_panels_stand_side_by_side_or_below_each_other() -> None:
    both = Multiples("Both", [BARS, BARS])
    assert tree(drawing.svg(both, drawing.WIDE)).attrib["viewBox"] == "0 0 760 240"
    assert tree(drawing.svg(both, drawing.NARROW)).attrib["viewBox"] == "0 0 380 480"


def lines(count: int, xs: int = 3) -> LineFigure:
    found = [Line(f"line {i}", [0.5] * xs) for i in range(count)]
    return LineFigure("Lines", "round", range(1, xs + 1), found, Axis("y", PLAIN, top=1.0))


@pytest.mark.parametrize("count", [3, 13, 40])
def test_labels_do_not_cover_each_other(count: int) -> None:
    root = tree(drawing.svg(lines(count)))
    found = {
        t.text: float(t.attrib["y"])
        for t in root.iter(f"{SVG}text")
        if (t.text or "").startswith("line ")
    }
    assert len(found) == count
    ys = sorted(found.values())
    assert min(b - a for a, b in itertools.pairwise(ys)) >= line_drawing.LABEL_HEIGHT - 0.1
    assert ys[0] >= 0
    assert ys[-1] <= float(root.attrib["viewBox"].split()[3])
    # Of equal values the first stands on top.
    assert list(found.values()) == sorted(found.values())


def test_lines_are_told_apart_by_colour_or_dashes() -> None:
    figure = lines(2 * len(colours.SERIES))
    assert len({line_drawing.style_of(figure, line) for line in figure.lines}) == len(figure.lines)


@pytest.mark.parametrize("xs", [1, 2, 7, 300])
def test_ticks_of_rounds_are_whole_few_and_begin_with_the_first(xs: int) -> None:
    root = tree(drawing.svg(lines(1, xs), drawing.NARROW))
    ticks = [t.text for t in root.iter(f"{SVG}text") if re.fullmatch(r"\d+", t.text or "")]
    assert ticks[0] == "1"
    assert len(set(ticks)) == len(ticks) < 12


def test_many_categories_stay_readable() -> None:
    names = [str(i) for i in range(1, 301)]
    figure = BarFigure("Many", "round", names, [1.0] * 300, Axis("y", PLAIN))
    root = tree(drawing.svg(figure))
    assert len([t for t in root.iter(f"{SVG}text") if t.text in names]) < 30


def test_colours_are_the_pages() -> None:
    svg = drawing.svg(lines(2))
    assert f"var(--s0, {colours.SERIES[0]})" in svg
    # None is left that would stand out on a dark page.
    assert not re.findall(r"(?<!, )#[0-9a-f]{6}", svg)
    assert "font-family" not in svg
    assert "<style" not in svg


def test_a_figure_of_nothing_says_so() -> None:
    empty = BarFigure("Empty", "round", ["1"], [None], Axis("y", PLAIN))
    assert page.figure(empty) == '<p class="none">— no values were recorded</p>'


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tfplus\[analysis\]'"):
        drawing.svg(BARS)


def test_the_page_of_another_process_is_the_same() -> None:
    """No date, and no id that comes from memory or from the order of a set."""
    code = (
        "import sys; from tfplus.report import drawing; from tfplus.report.figures import *;"
        "from tfplus.report.units import SECONDS;"
        "b = BarFigure('Time of a step', 'system', ['tfplus', 'flex', 'mnn'], [2.0, 4.0, None],"
        " Axis('time', SECONDS), [(1.5, 3.0), (3.8, 4.1), None]);"
        "sys.stdout.write(drawing.svg(b))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == drawing.svg(BARS)


@given(
    st.lists(st.floats(-50, 250), max_size=12),
    st.floats(0, 20),
)
def test_spread_keeps_gap_order_and_range(wanted: list[float], gap: float) -> None:
    found = labels.spread(wanted, gap, 0.0, 240.0)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [found[i] for i in order]
    assert all(b - a >= gap - 1e-6 for a, b in itertools.pairwise(placed))
    if placed and (len(placed) - 1) * gap <= 240.0:
        assert placed[0] >= -1e-9
        assert placed[-1] <= 240.0 + 1e-9


def test_spread_moves_no_more_than_it_must() -> None:
    assert labels.spread([10.0, 50.0, 90.0], 15, 0, 100) == [10.0, 50.0, 90.0]
    assert labels.spread([50.0, 50.0], 10, 0, 100) == [45.0, 55.0]
    assert labels.spread([1.0, 1.0], 10, 0, 100) == [0.0, 10.0]
    assert doctest.testmod(labels).failed == 0
