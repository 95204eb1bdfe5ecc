"""The page of a plan: well-formed, whole, and with the numbers of the plan in it."""

from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np

from tfplus.decoupling.plan import Cost, Plan
from tfplus.decoupling.report import Functionality, MaximizedFilter, render

SECTIONS = (
    "Accuracy by stage",
    "Training step by number of classes",
    "Cost of one sample",
    "Preference matrix",
    "Critical paths",
    "Functionality divergence by depth",
    "Filters of the critical paths",
)


def found(plan: Plan) -> Functionality:
    rng = np.random.default_rng(0)
    one = MaximizedFilter(
        7,
        "conv3",
        5,
        {n: rng.random((8, 8, 1), np.float32) for n in (20, 40, 100)},
        {20: 0.5, 40: 1.25, 100: 2.5},
    )
    names = ("conv1", *(layer.name for layer in plan.layers))
    return Functionality({n: rng.random((3, 8)) for n in names}, [one])


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text.partition("\n")[2])  # noqa: S314 the text is our own


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def test_every_part_is_there_and_none_is_empty(plan: Plan) -> None:
    text = render(plan, found(plan))
    sections = {s.findtext("h2"): s for s in parsed(text).iter("section")}
    assert tuple(sections) == SECTIONS
    for title in ("Accuracy by stage", "Training step by number of classes"):
        assert len(list(sections[title].iter("{http://www.w3.org/2000/svg}svg"))) == 2
    assert "no values" not in text
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert render(plan, found(plan)) == text
    shown = words(sections["Critical paths"])
    for label in plan.classes:
        assert f" {label} " in shown
    assert "branch of class 7" in words(sections["Cost of one sample"])
    pictures = list(sections["Filters of the critical paths"].iter("img"))
    assert [p.get("alt") for p in pictures] == [
        f"class 7, conv3 5: {n} iterations, activation {a}"
        for n, a in ((20, "0.5"), (40, "1.25"), (100, "2.5"))
    ]


def test_pictures_are_what_they_say(plan: Plan) -> None:
    from PIL import Image

    seen = found(plan)
    page = parsed(render(plan, seen))
    by_title = {s.findtext("h2"): s for s in page.iter("section")}

    def pixels(section: str, place: int) -> np.ndarray:
        uri = list(by_title[section].iter("img"))[place].get("src") or ""
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))

    drawn = pixels("Filters of the critical paths", 1).astype(np.float64)
    wanted = seen.maximized[0].inputs[40][..., 0]
    scaled = (wanted - wanted.min()) / (wanted.max() - wanted.min()) * 255
    np.testing.assert_allclose(drawn, scaled, atol=0.51)
    matrix = pixels("Preference matrix", 0)
    assert matrix.shape == (3, 6, 3)
    above = plan.layers[0].preference[:, :6] - plan.layers[0].preference[:, :6].mean(axis=0)
    # Blue above the mean class, orange below.
    assert ((matrix[..., 2] > matrix[..., 0]) == (above > 0)).all()


def test_what_a_step_costs_is_summed_over_classes(plan: Plan) -> None:
    steps = (1_000_000, 2_000_000, 4_000_000)
    branches = {c: Cost(1, n, 1) for c, n in zip(plan.classes, steps, strict=True)}
    counted = replace(plan.costs, shared=Cost(1, 16_000_000, 1), branches=branches)
    page = parsed(render(replace(plan, costs=counted), found(plan)))
    section = {s.findtext("h2"): s for s in page.iter("section")}[SECTIONS[1]]
    rows = [[c.text for c in row.iter("td")] for row in section.iter("tr")]
    assert rows[1:] == [["1", "17", "1"], ["2", "19", "3"], ["3", "23", "7"]]
    unknown = replace(counted, shared=Cost(None, None, 1))
    assert "not counted" in words(parsed(render(replace(plan, costs=unknown), found(plan))))
