"""Reports and comparisons of campaigns whose times are made up."""

from __future__ import annotations

import dataclasses
import random
import xml.etree.ElementTree as ET

import pytest

from tfplus.benchmark.repetition import BACKGROUND, Answer, Operation
from tfplus.campaign import comparing, results, summary
from tfplus.campaign.figures import chapters, files, interference, operations, report, sustained
from tfplus.campaign.figures.chapter import Material, Table
from tfplus.campaign.planning.plan import Cell, Model
from tfplus.campaign.summary import Summary
from tfplus.errors import UsageError
from tfplus.measure.result import Block, Configuration, Repetition


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
    other = dataclasses.replace(before, environments={"local": environment})
    with pytest.raises(UsageError, match=r"kernel: 6.1 and 7.0"):
        comparing.compare(before, other)
    assert comparing.compare(before, other, allow_unlike=True)


def summarised(name: str, phase: str, ms: float, *reasons: str) -> Summary:
    times = tuple(ms * (1 + 0.001 * i) for i in range(5))
    cell = Cell(Model(name, 8), phase, 1)
    return Summary(cell, times, times[2], 0.0, (times[0], times[-1]), None, reasons)


@pytest.fixture
def said(measured):
    """What chapters find in made-up summaries: claim → finding."""
    found = results.read(measured())

    def ask(*summaries: Summary):
        told = chapters.of(Material(found, summaries))
        return {f.claim: f for chapter in told for f in chapter.findings}

    return ask


def test_findings_hold_are_contradicted_or_open(said) -> None:
    cells = {"fc-d1-w8": 1.0, "fc-d1-w32": 5.0, "fc-d4-w8": 2.0}
    cells |= {"conv-d1-w8": 300.0, "conv-d1-w32": 4000.0, "conv-d4-w8": 1000.0}
    cells |= {"depthwise-d1-w8": 100.0, "depthwise-d1-w32": 500.0}
    found = said(*(summarised(n, "train", t) for n, t in cells.items()))
    assert found["dense layers are more sensitive to width than to depth"].outcome == "holds"
    deep = found["convolutions are more sensitive to depth than to width"]
    assert (deep.outcome, deep.ratio.value) == ("does not hold", pytest.approx(4.0))
    assert "4 × the width ÷ 4 × the depth" in deep.compared
    assert found["and ever more so with width"].ratio.value == pytest.approx(8 / 3)
    assert found["and ever more so with width"].outcome == "holds"
    assert found["depthwise convolutions are cheaper"].outcome == "holds"
    (orders,) = (f for claim, f in found.items() if "two orders slower" in claim)
    assert (orders.outcome, orders.ratio.value) == ("holds", pytest.approx(500, rel=0.01))
    bad = [summarised("fc-d1-w8", "train", 1.0, "drift"), summarised("conv-d1-w8", "train", 300.0)]
    (slow,) = said(*bad).values()
    assert slow.outcome == "open: fc-d1-w8 is invalid"
    assert said(summarised("lenet", "train", 6.0)) == {}
    (phases,) = said(summarised("lenet", "train", 6.0), summarised("lenet", "infer", 1.0)).values()
    assert phases.outcome == "holds"


def test_the_background_is_compared_with_the_foreground(said) -> None:
    front = summarised("lenet", "train", 2.0)
    back = dataclasses.replace(
        summarised("lenet", "train", 6.0), cell=dataclasses.replace(front.cell, priority=BACKGROUND)
    )
    (found,) = said(front, back).values()
    assert (found.ratio.value, found.outcome) == (pytest.approx(3.0), "holds")


def test_shares_of_operations_by_phase(measured) -> None:
    found = results.read(measured())
    (cell, _) = found.by_cell
    rows = (
        Operation("CONV_2D", "conv", "forward", 3.0),
        Operation("BATCH_MATMUL", "conv", "backward", 6.5),
        Operation("ADD", "", "update", 0.5),
    )
    values = {"operations_sum_ms": 10.0, "profiled_step_ms": 10.2}
    passes = tuple(dataclasses.replace(r, values=values) for r in found.by_cell[cell])
    found = dataclasses.replace(found, breakdowns={cell: (rows,) * 5}, operations={cell: passes})
    (chapter,) = operations.chapters(Material.of(found))
    assert [f.ratio.value for f in chapter.findings] == pytest.approx([0.65, 6.5 / 7])
    assert [f.outcome for f in chapter.findings] == ["holds", "holds"]
    assert chapter.tables[0].rows[0] == ["conv", "3.000 ms", "", "6.500 ms", ""]
    assert chapter.notes == ["The operations add up to 98.0% of the profiled step."]
    slow = tuple(dataclasses.replace(p, values=values | {"profiled_step_ms": 20.0}) for p in passes)
    (chapter,) = operations.chapters(
        Material.of(dataclasses.replace(found, operations={cell: slow}))
    )
    assert chapter.notes[0].startswith("INVALID: The operations add up to 50.0%")


def test_a_ranking_by_minute_is_of_whole_minutes() -> None:
    times = (*[500.0] * 120, *[1000.0] * 60, *[2000.0] * 30)
    one = Repetition(Configuration("w", "s", "r"), 0, True, (Block(0, 0, False, times),))
    assert sustained.by_minute([one, one]) == [500.0, 1000.0, 2000.0]


def test_a_folder_of_files_for_a_paper(measured, tmp_path) -> None:
    found = results.read(measured("r", paced(1.0, 1)))
    written = files.write(found, tmp_path / "figures")
    names = {path.name for path in written}
    assert {"report.html", "figure-15-training-step-inference.svg"} <= names
    for path in written:
        if path.suffix == ".svg":
            root = ET.parse(path).getroot()  # noqa: S314
            assert float(root.attrib["width"]) > 100
            assert "var(" not in path.read_text()
            page = path.with_suffix(".pdf").read_bytes()
            assert page.startswith(b"%PDF-") and page.rstrip().endswith(b"%%EOF")
            # Fonts that a publisher takes, and nothing that makes each run another.
            assert b"/Type3" not in page and b"CreationDate" not in page
        if path.suffix == ".tex":
            assert path.read_text().count("{tabular}") == 2
    table = Table("50 % of a_b", ["a", "n"], [["x & y", "1"]], 1)
    assert r"x \& y & 1 \\" in files.latex(table)
    assert r"50 \% of a\_b" in files.latex(table)


def test_the_report_stands_alone_and_says_what_is_invalid(measured) -> None:
    found = results.read(measured("r", paced(1.0, 1)))
    text = report.render(found)
    ET.fromstring(text.removeprefix("<!doctype html>\n"))  # noqa: S314
    assert "http" not in text.replace("http://www.w3.org", "").replace("https://matplotlib.org", "")
    assert "training step ÷ inference" in text and "2 of 2" in text
    fewer = dataclasses.replace(found, by_cell={c: r[:3] for c, r in found.by_cell.items()})
    assert "INVALID: too few repetitions (3 of at least 5)" in report.render(fewer)
    assert all(not s.is_valid for s in summary.of(fewer))


def test_programs_are_told_apart_by_what_differs_alone() -> None:
    base = Cell(Model("small-cnn", 32), "train", 2, co_runner="aes")
    cells = [base, dataclasses.replace(base, priority=BACKGROUND)]
    assert interference._programs(cells) == ["aes", "aes, background"]
    assert interference._programs([base, dataclasses.replace(base, threads=1)]) == [
        "aes, 2 threads",
        "aes, 1 thread",
    ]
