"""The report draws the numbers it was given, says so where there are none, and needs no network."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import pytest
from report_page import RESULT, SVG, bars, charts, coordinates, lines, parsed, texts, tiles, words

from tfplus.demo.report import render

VALUES = {
    "global": [r["global_accuracy"] for r in RESULT["by_round"]],
    "north": [r["device_accuracy"][0] for r in RESULT["by_round"]],
    "south": [r["device_accuracy"][1] for r in RESULT["by_round"]],
}


@pytest.fixture(scope="module")
def text() -> str:
    return render(RESULT)


@pytest.fixture(scope="module")
def page(text: str) -> ET.Element:
    return parsed(text)


def grid(drawing: ET.Element) -> dict[str, float]:
    """Written at a horizontal line → its height in pixels."""
    found: dict[str, float] = {}
    for group in drawing.iter(f"{SVG}g"):
        parts = list(group)
        if len(parts) == 3 and (path := parts[0].find(f"{SVG}path")) is not None:
            (_, y), (_, other) = coordinates(path)
            assert y == other
            found[words(parts[2])] = y
    return found


def test_headline(page: ET.Element) -> None:
    assert tiles(page) == {
        "Global model": "97.3 %",
        "Central training": "98.1 %",
        "Best alone": "50.2 %",
        "Rounds": "3",
        "Sent": "12.3 MB",
        "Time": "41.3 s",
    }


@pytest.mark.parametrize("narrow", [0, 1])
def test_lines_are_the_accuracies_to_scale(page: ET.Element, narrow: int) -> None:
    drawing = charts(page, "Accuracy by round")[narrow]
    drawn, levels, written = lines(drawing), grid(drawing), texts(drawing)
    assert "accuracy, %" in written
    assert levels["100"] < levels["80"] < levels["0"]
    assert set(drawn) == set(VALUES)
    for name, points in drawn.items():
        for (x, y), value, number in zip(points, VALUES[name], ("1", "2", "3"), strict=True):
            assert x == pytest.approx(float(written[number].attrib["x"]), abs=0.02)
            fraction = (y - levels["0"]) / (levels["100"] - levels["0"])
            assert fraction == pytest.approx(value, abs=1e-3)


def test_references_are_to_scale(page: ET.Element) -> None:
    drawing = charts(page, "Accuracy by round")[0]
    levels = grid(drawing)
    for group in drawing.iter(f"{SVG}g"):
        name = group.attrib.get("data-reference")
        if name:
            (_, y), _ = coordinates(group.find(f"{SVG}path"))  # type: ignore[arg-type]
            fraction = (y - levels["0"]) / (levels["100"] - levels["0"])
            assert fraction == pytest.approx(
                {"central": 0.981, "best alone": 0.502}[name], abs=1e-3
            )


def test_bars_are_to_scale(page: ET.Element) -> None:
    for drawing in charts(page, "Time and bytes by round"):
        drawn = bars(drawing)
        assert [name for name, _ in drawn] == ["1", "2", "3"] * 2
        for start, field in ((0, "seconds"), (3, "bytes_sent")):
            heights = [height for _, height in drawn[start : start + 3]]
            values = [r[field] for r in RESULT["by_round"]]
            for height, value in zip(heights, values, strict=True):
                assert height / heights[-1] == pytest.approx(value / values[-1], abs=1e-3)
        assert {"time, s", "bytes sent, MB"} <= set(texts(drawing))


def test_lines_are_labelled_at_their_ends_or_in_a_legend(page: ET.Element) -> None:
    wide, narrow = charts(page, "Accuracy by round")
    labels = {
        "global 80 %",
        "north 45 %",
        "south 37 %",
        "central 98.1 %",
        "best alone 50.2 %",
    }
    assert labels <= set(texts(wide))
    assert not labels & set(texts(narrow))
    legend = page.find(".//ul[@class='legend']")
    assert legend is not None
    named = [words(item) for item in legend]
    assert named == ["global", "north", "south", "central 98.1 %", "best alone 50.2 %"]


def test_points_say_what_they_are(page: ET.Element) -> None:
    said = {t.text for t in charts(page, "Accuracy by round")[0].iter(f"{SVG}title")}
    assert {"north, round 1: 35 %", "global, round 3: 80 %"} <= said
    said = {t.text for t in charts(page, "Time and bytes by round")[1].iter(f"{SVG}title")}
    assert {"round 2: 3.0 s", "round 2: 1 MB"} <= said


def test_tables(page: ET.Element) -> None:
    rows = [[words(c) for c in row] for row in page.iter("tr")]
    assert ["north", "9, 0, 1", "9, 0, 1, 2", "561", "49 %"] in rows
    assert ["south", "1, 2, 3", "—", "498", "50.2 %"] in rows
    for row in (["seed", "7"], ["date", "2024-05-06"], ["tfplus", "0.1.0"], ["memory gb", "—"]):
        assert row in rows
    assert ["cpu", "A <CPU> & more"] in rows


def test_every_figure_has_its_numbers_below(page: ET.Element) -> None:
    figures = list(page.iter("figure"))
    assert len(figures) == 3
    rows = [[[words(c) for c in row] for row in f.iter("tr")] for f in figures]
    assert ["2", "70 %", "40 %", "33 %", "98.1 %", "50.2 %"] in rows[0]
    assert ["3", "0.667", "0.5"] in rows[1]
    assert ["2", "3.0 s", "1 MB"] in rows[2]
    links = [f.find(".//a") for f in figures]
    content = [unquote(a.attrib["href"].partition(",")[2]) for a in links if a is not None]
    tables = [list(csv.reader(io.StringIO(c))) for c in content]
    # In full precision, so that what was computed elsewhere can be compared.
    assert tables[0][0][:2] == ["round", "global [fraction]"]
    assert [float(row[1]) for row in tables[0][1:]] == VALUES["global"]
    assert tables[2] == [
        ["round", "time [s]", "bytes sent [bytes]"],
        *([str(r["round"]), str(r["seconds"]), f"{r['bytes_sent']}.0"] for r in RESULT["by_round"]),
    ]


def test_every_number_comes_from_the_result(page: ET.Element) -> None:
    """What stands in tiles and tables is one of the result's numbers, written somehow."""
    known = set(map(float, re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", str(RESULT))))
    known |= {sum(RESULT["alone_accuracy"]) / 2}
    cells = [cell for kind in ("td", "dd") for cell in page.iter(kind)]
    for cell in cells:
        # Names, versions and the date stand as they are.
        if f"'{words(cell)}'" in str(RESULT):
            continue
        for number in re.findall(r"\d+\.?\d*", words(cell).replace(",", " ")):
            factors = (1.0, 0.01, 1e6, 1e3)
            near = (k for k in known for f in factors if abs(float(number) * f - k) <= 0.006 * k)
            assert next(near, None) is not None or number == "0", (number, words(cell))
