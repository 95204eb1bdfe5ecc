"""The report as a page: self-contained, with whatever is missing, the same for equal results."""

from __future__ import annotations

import copy
import importlib.util
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from report_page import RESULT, SVG, bars, charts, lines, parsed, texts, tiles, words

from tfplus.demo.report import render
from tfplus.demo.run import check_installed
from tfplus.errors import MissingExtraError
from tfplus.report.units import ABSENT


@pytest.fixture(scope="module")
def text() -> str:
    return render(RESULT)


@pytest.fixture(scope="module")
def page(text: str) -> ET.Element:
    return parsed(text)


def test_absent_is_not_zero() -> None:
    result = copy.deepcopy(RESULT)
    result |= {"global_accuracy": None, "central_accuracy": float("nan"), "alone_accuracy": [None]}
    result |= {"bytes_sent": None, "seconds": None, "rounds": None}
    result["by_round"][1] |= {"global_accuracy": None, "seconds": None, "device_accuracy": [None]}
    page = parsed(render(result))
    assert set(tiles(page).values()) == {"—"}
    accuracy = charts(page, "Accuracy by round")[0]
    assert [len(points) for points in lines(accuracy).values()] == [2, 2, 2]
    # A gap cuts the line in two; both ends stay as dots.
    (group,) = (g for g in accuracy.iter(f"{SVG}g") if g.attrib.get("data-series") == "global")
    path = group.find(f"{SVG}path")
    assert path is None or "L" not in path.attrib["d"]
    assert not [g for g in accuracy.iter(f"{SVG}g") if "data-reference" in g.attrib]
    cost = charts(page, "Time and bytes by round")[0]
    assert [name for name, _ in bars(cost)] == ["1", "3", "1", "2", "3"]
    assert "—" in texts(cost)
    rows = [[words(c) for c in row] for row in page.iter("tr")]
    assert ["2", "—", "1 MB"] in rows


@pytest.mark.parametrize(
    "result",
    [
        {},
        dict.fromkeys(RESULT),
        RESULT | {"by_round": [{"round": 1}]},
        RESULT | {"devices": []},
        RESULT | {"by_round": [RESULT["by_round"][0] | {"seconds": 0, "bytes_sent": 0}]},
    ],
)
def test_whatever_is_missing_the_page_stands(result: dict[str, Any]) -> None:
    assert words(parsed(render(result)))


def test_names_are_text_not_markup() -> None:
    result = copy.deepcopy(RESULT)
    result["devices"][0]["name"] = "<script>alert('x')</script>\"&$x_1$"
    result["versions"] = {"<b>": "</td><td>"}
    page = parsed(render(result))
    assert not list(page.iter("script"))
    assert not list(page.iter("b"))
    assert "<script>alert('x')</script>\"&$x_1$" in words(page)


def test_nothing_comes_from_elsewhere(text: str, page: ET.Element) -> None:
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\bsrc\s*=|@import|<script|<link", text)
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    links = [e.attrib["href"] for e in page.iter() if "href" in e.attrib]
    assert links
    assert all(link.startswith(("#", "data:text/csv;")) for link in links)
    assert "prefers-color-scheme: dark" in text


def test_ids_are_unique_and_there(page: ET.Element) -> None:
    ids = [e.attrib["id"] for e in page.iter() if "id" in e.attrib]
    assert len(set(ids)) == len(ids)
    used = {e.attrib["href"][1:] for e in page.iter() if e.attrib.get("href", "").startswith("#")}
    used |= {e.attrib["clip-path"][5:-1] for e in page.iter() if "clip-path" in e.attrib}
    assert used == set(ids)


def test_equal_results_give_equal_pages(text: str) -> None:
    assert render(copy.deepcopy(RESULT)) == text


def test_what_is_not_installed_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'tfplus\[demo\]'"):
        check_installed()


def test_a_decoupled_run_shows_its_stages_and_what_a_step_costs() -> None:
    plan = {
        "accuracy": {"before": 0.9578, "pruned": 0.24, "recalibrated": 0.81, "fine_tuned": None},
        "step_flops": 3_850_000.0,
        "devices": [
            {
                "name": "north",
                "step_flops": 1_370_000.0,
                "saving": 2.81,
                "branches_step_flops": None,
                "branches_saving": None,
            }
        ],
    }
    page = parsed(render({**RESULT, "decoupled": plan}))
    charts(page, "Accuracy of the decoupled model by stage")
    shown = words(page)
    assert "the CNN before it was cut3.85" in shown
    assert f"north1.372.8 ×{ABSENT}{ABSENT}" in shown
    assert "95.8" in shown
    assert "Decoupled by class" not in words(parsed(render(RESULT)))
