"""The report draws the numbers it was given, says so where there are none, and needs no network."""

from __future__ import annotations

import copy
import itertools
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from tfplus.demo.report import render
from tfplus.report import charts

SVG = "{http://www.w3.org/2000/svg}"
RESULT: dict[str, Any] = {
    "global_accuracy": 0.973,
    "central_accuracy": 0.981,
    "alone_accuracy": [0.49, 0.502],
    "rounds": 3,
    "bytes_sent": 12_345_678,
    "seconds": 41.27,
    "devices": [
        {"name": "north", "classes": [9, 0, 1], "branches": [9, 0, 1, 2], "samples": 561},
        {"name": "south", "classes": [1, 2, 3], "samples": 498},
    ],
    "by_round": [
        {
            "round": r,
            "global_accuracy": 0.5 + 0.1 * r,
            "device_accuracy": [0.3 + 0.05 * r, 0.25 + 0.04 * r],
            "train_loss": [2.0 / r, 1.5 / r],
            "seconds": 1.5 * r,
            "bytes_sent": 1_000_000 + r,
        }
        for r in (1, 2, 3)
    ],
    "seed": 7,
    "versions": {"tfplus": "0.1.0", "python": "3.11.7"},
    "machine": {"cpu": "A <CPU> & more", "memory_gb": None},
    "date": "2024-05-06",
}


def parsed(result: dict[str, Any]) -> ET.Element:
    text = render(result)
    assert text.startswith("<!doctype html>\n")
    return ET.fromstring(text.partition("\n")[2])  # noqa: S314 the text is our own


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def chart(page: ET.Element, title: str) -> ET.Element:
    for drawing in page.iter(f"{SVG}svg"):
        if (drawing.findtext(f"{SVG}title") or "").startswith(title):
            return drawing
    raise AssertionError(f"no drawing '{title}'")


def lines(drawing: ET.Element) -> dict[str, list[list[tuple[float, float]]]]:
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for line in drawing.iter(f"{SVG}polyline"):
        points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
        found.setdefault(line.attrib["data-series"], []).append([(x, y) for x, y in points])
    return found


def tiles(page: ET.Element) -> dict[str, str]:
    found = {}
    for tile in page.iterfind(".//dl/div"):
        found[tile.findtext("dt")] = (tile.find("dd").text or "").strip()  # type: ignore[union-attr]
    return found


def test_headline() -> None:
    assert tiles(parsed(RESULT)) == {
        "Global model": "97.3 %",
        "Central training": "98.1 %",
        "Best alone": "50.2 %",
        "Rounds": "3",
        "Sent": "12.3 MB",
        "Time": "41.3 s",
    }


def test_lines_are_the_accuracies_to_scale() -> None:
    drawing = chart(parsed(RESULT), "Accuracy")
    drawn = lines(drawing)
    assert set(drawn) == {"global", "north", "south"}
    grid = {
        words(t): float(t.attrib["y"]) - 4
        for t in drawing.iter(f"{SVG}text")
        if t.attrib["class"] == "tick" and words(t).endswith("%")
    }
    rounds = {
        words(t): float(t.attrib["x"])
        for t in drawing.iter(f"{SVG}text")
        if t.attrib["class"] == "tick" and not words(t).endswith("%")
    }
    assert grid["100 %"] < grid["80 %"] < grid["0 %"]
    values = {
        "global": [r["global_accuracy"] for r in RESULT["by_round"]],
        "north": [r["device_accuracy"][0] for r in RESULT["by_round"]],
        "south": [r["device_accuracy"][1] for r in RESULT["by_round"]],
    }
    for name, (points,) in drawn.items():
        for (x, y), value, number in zip(points, values[name], ("1", "2", "3"), strict=True):
            assert x == pytest.approx(rounds[number], abs=0.02)
            fraction = (y - grid["0 %"]) / (grid["100 %"] - grid["0 %"])
            assert fraction == pytest.approx(value, abs=1e-3)


def test_bars_are_to_scale() -> None:
    page = parsed(RESULT)
    for title, field in (("Time", "seconds"), ("Bytes", "bytes_sent")):
        bars = list(chart(page, title).iter(f"{SVG}rect"))
        heights = [float(b.attrib["height"]) for b in bars]
        values = [r[field] for r in RESULT["by_round"]]
        assert [b.attrib["data-round"] for b in bars] == ["1", "2", "3"]
        for height, value in zip(heights, values, strict=True):
            assert height / heights[-1] == pytest.approx(value / values[-1], abs=1e-3)


def test_lines_are_labelled_at_their_ends_and_in_a_legend() -> None:
    page = parsed(RESULT)
    labels = {
        words(t)
        for t in chart(page, "Accuracy").iter(f"{SVG}text")
        if t.attrib["class"].startswith("label")
    }
    assert labels == {
        "global 80 %",
        "north 45 %",
        "south 37 %",
        "central 98.1 %",
        "best alone 50.2 %",
    }
    legend = page.find(".//ul[@class='legend']")
    assert legend is not None
    assert [words(item) for item in legend] == ["global", "north", "south"]


def test_labels_do_not_cover_each_other() -> None:
    result = copy.deepcopy(RESULT)
    result["devices"] = [{"name": f"d{i}", "classes": [i], "samples": 1} for i in range(10)]
    for entry in result["by_round"]:
        entry["device_accuracy"] = [0.5] * 10
    drawing = chart(parsed(result), "Accuracy")
    ys = sorted(
        float(t.attrib["y"])
        for t in drawing.iter(f"{SVG}text")
        if t.attrib["class"].startswith("label")
    )
    assert len(ys) == 13
    assert all(b - a >= charts.LABEL_HEIGHT - 0.01 for a, b in itertools.pairwise(ys))
    height = float(drawing.attrib["viewBox"].split()[3])
    assert ys[0] >= 0
    assert ys[-1] <= height
    styles = {line.attrib["class"] for line in drawing.iter(f"{SVG}polyline")}
    assert len(styles) == 11


def test_tables() -> None:
    page = parsed(RESULT)
    rows = [[words(c) for c in row] for row in page.iter("tr")]
    assert ["north", "9, 0, 1", "9, 0, 1, 2", "561", "49 %"] in rows
    assert ["2", "70 %", "40 %", "33 %", "3.0 s", "1 MB"] in rows
    for row in (["seed", "7"], ["date", "2024-05-06"], ["tfplus", "0.1.0"], ["memory gb", "—"]):
        assert row in rows
    assert ["cpu", "A <CPU> & more"] in rows


def test_absent_is_not_zero() -> None:
    result = copy.deepcopy(RESULT)
    result |= {"global_accuracy": None, "central_accuracy": float("nan"), "alone_accuracy": [None]}
    result |= {"bytes_sent": None, "seconds": None, "rounds": None}
    result["by_round"][1] |= {"global_accuracy": None, "seconds": None, "device_accuracy": [None]}
    page = parsed(result)
    assert set(tiles(page).values()) == {"—"}
    accuracy = chart(page, "Accuracy")
    # A gap cuts the line in two; both ends stay as dots.
    assert [len(part) for part in lines(accuracy)["global"]] == [1, 1]
    assert not list(accuracy.iterfind(f"{SVG}line[@class='reference']"))
    time = chart(page, "Time")
    assert [b.attrib["data-round"] for b in time.iter(f"{SVG}rect")] == ["1", "3"]
    assert "—" in {words(t) for t in time.iter(f"{SVG}text")}


@pytest.mark.parametrize(
    "result",
    [
        {},
        dict.fromkeys(RESULT),
        RESULT | {"by_round": []},
        RESULT | {"by_round": [{"round": 1}]},
        RESULT | {"devices": []},
        RESULT | {"by_round": RESULT["by_round"][:1]},
        RESULT | {"by_round": [RESULT["by_round"][0] | {"seconds": 0, "bytes_sent": 0}]},
    ],
)
def test_whatever_is_missing_the_page_stands(result: dict[str, Any]) -> None:
    assert words(parsed(result))


def test_names_are_text_not_markup() -> None:
    result = copy.deepcopy(RESULT)
    result["devices"][0]["name"] = "<script>alert('x')</script>\"&"
    result["versions"] = {"<b>": "</td><td>"}
    page = parsed(result)
    assert not list(page.iter("script"))
    assert not list(page.iter("b"))
    assert "<script>alert('x')</script>\"&" in words(page)


def test_nothing_comes_from_elsewhere() -> None:
    text = render(RESULT)
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(src|href)\s*=|@import|url\(|<script|<link", text)
    assert "prefers-color-scheme: dark" in text


def test_many_rounds_stay_readable() -> None:
    result = copy.deepcopy(RESULT)
    result["by_round"] = [result["by_round"][0] | {"round": r} for r in range(1, 301)]
    page = parsed(result)
    shown = [t for t in chart(page, "Time").iter(f"{SVG}text") if t.attrib["class"] == "tick"]
    assert len(shown) < 30


def test_equal_results_give_equal_pages() -> None:
    assert render(RESULT) == render(copy.deepcopy(RESULT))


@pytest.mark.parametrize("longest_s", [0.004, 0.07, 0.18, 0.9, 1.7, 12.0, 99.0, 101.0, 4000.0])
def test_marks_of_the_time_axis_differ(longest_s: float) -> None:
    rounds = [{"round": i, "seconds": longest_s / i} for i in (1, 2, 3)]
    page = render({**RESULT, "by_round": rounds})
    chart = next(c for c in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if "Time by round" in c)
    marks = re.findall(r'<text class="tick"[^>]*text-anchor="end">([^<]*) s</text>', chart)
    values = [float(mark.replace(",", "")) for mark in marks]
    assert values[0] == 0
    assert values[-1] >= longest_s
    # As far apart as each other: no two read the same, and none is rounded to another place.
    assert np.diff(values) == pytest.approx(np.full(len(values) - 1, values[1]))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 2.4, [0, 0.5, 1, 1.5, 2, 2.5]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 12_345_678, [0, 5e6, 10e6, 15e6]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)
