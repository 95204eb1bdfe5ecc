"""Reports and comparisons of campaigns whose times are made up."""

from __future__ import annotations

import dataclasses
import random
import xml.etree.ElementTree as ET

import pytest

from tfplus.campaign import comparing, findings, report, results, summary
from tfplus.campaign.plan import Cell, Model
from tfplus.campaign.summary import Summary
from tfplus.campaign.worker import Answer
from tfplus.errors import UsageError


def paced(factor: float, seed: int):
    draw = random.Random(seed)  # noqa: S311

    def measure(request, timeout_s):
        pace = factor * draw.uniform(1.0, 1.02)
        return Answer("fake 1", (50.0, *[pace] * (request.iterations - 1)), {})

    return measure


def test_compare_says_slower_or_nothing(measured) -> None:
    before = results.read(measured("a", paced(1.0, 1)))
    same = results.read(measured("b", paced(1.0, 2)))
    slow = results.read(measured("c", paced(1.5, 3)))
    assert {c.outcome for c in comparing.compare(before, same)} == {"no difference found"}
    changes = comparing.compare(before, slow)
    assert {c.outcome for c in changes} == {"slower"}
    assert all(
        c.ratio.low < 1.5 < c.ratio.high or c.ratio.value == pytest.approx(1.5, rel=0.03)
        for c in changes
    )
    assert {c.outcome for c in comparing.compare(slow, before)} == {"faster"}
    assert {c.outcome for c in comparing.compare(before, slow, threshold=0.6)} == {
        "no difference found"
    }


def test_unlike_environments_are_refused(measured) -> None:
    before = results.read(measured("a"))
    environment = dataclasses.replace(before.result.environment, kernel="7.0")
    other = dataclasses.replace(
        before, result=dataclasses.replace(before.result, environment=environment)
    )
    with pytest.raises(UsageError, match=r"kernel: 6.1 and 7.0"):
        comparing.compare(before, other)
    assert comparing.compare(before, other, allow_unlike=True)


def summarised(name: str, phase: str, ms: float, *reasons: str) -> Summary:
    times = tuple(ms * (1 + 0.001 * i) for i in range(5))
    cell = Cell(Model(name, 8), phase, 1)
    return Summary(cell, times, times[2], 0.0, (times[0], times[-1]), None, reasons)


def test_findings_hold_are_contradicted_or_open() -> None:
    cells = {"fc-d1-w8": 1.0, "fc-d1-w32": 5.0, "fc-d4-w8": 2.0}
    cells |= {"conv-d1-w8": 300.0, "conv-d1-w32": 4000.0, "conv-d4-w8": 1000.0}
    found = {f.claim: f for f in findings.of([summarised(n, "train", t) for n, t in cells.items()])}
    assert found["dense layers are more sensitive to width than to depth"].outcome == "holds"
    deep = found["convolutions are more sensitive to depth than to width"]
    assert (deep.outcome, deep.ratio.value) == ("does not hold", pytest.approx(4.0))
    assert "4 × the width ÷ 4 × the depth" in deep.compared
    bad = [summarised("fc-d1-w8", "train", 1.0, "drift"), summarised("conv-d1-w8", "train", 300.0)]
    (slow,) = findings.of(bad)
    assert slow.outcome == "open: fc-d1-w8 is invalid"
    assert findings.of([summarised("lenet", "train", 6.0)]) == []
    (phases,) = findings.of([summarised("lenet", "train", 6.0), summarised("lenet", "infer", 1.0)])
    assert phases.outcome == "holds"


def test_the_report_stands_alone_and_says_what_is_invalid(measured) -> None:
    found = results.read(measured("r", paced(1.0, 1)))
    text = report.render(found)
    ET.fromstring(text.removeprefix("<!doctype html>\n"))  # noqa: S314
    assert "http" not in text.replace("http://www.w3.org", "").replace("https://matplotlib.org", "")
    assert "Training step ÷ inference" in text and "2 of 2" in text
    fewer = dataclasses.replace(found, by_cell={c: r[:3] for c, r in found.by_cell.items()})
    assert "INVALID: too few repetitions (3 of at least 5)" in report.render(fewer)
    assert all(not s.is_valid for s in summary.of(fewer))
