"""Accuracy gained per joule, or per second of processor time where nothing tells joules."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tfplus.campaign import publishing, results
from tfplus.campaign.figures import learning
from tfplus.campaign.figures.chapter import Material
from tfplus.campaign.planning import plan_file
from tfplus.errors import UsageError

TEXT = """
name = "learns"
passes = ["timing", "learning"]
data = "train.npz"
eval_data = "test.npz"
[[models]]
name = "lenet"
"""


def learned(found, values, absent=None, count=5):
    """The campaign, with repetitions of a learning pass of its first cell."""
    (cell, *_) = found.by_cell
    base = found.by_cell[cell][0]
    told = [
        dataclasses.replace(
            base,
            values={"accuracy_before": 0.1, "accuracy_after": 0.9, **values(i)},
            absent=absent or {},
        )
        for i in range(count)
    ]
    return Material.of(dataclasses.replace(found, learning={cell: tuple(told)}))


def test_points_per_joule_of_each_source(measured) -> None:
    found = results.read(measured())
    material = learned(
        found,
        lambda i: {"learning a joules": 40.0 + i, "learning b joules": 10.0, "learning_cpu_s": 2.0},
    )
    one, other = learning.chapters(material)
    assert [c.title for c in (one, other)] == [
        "accuracy gained per joule of a",
        "accuracy gained per joule of b",
    ]
    # 80 points for 42 J in the middle of five.
    assert one.figures[0].values == [pytest.approx(80 / 42)]
    assert one.figures[0].intervals == [(pytest.approx(80 / 44), pytest.approx(80 / 40))]
    assert other.tables[0].rows[0][-1] == "8 [8, 8]"
    assert not [n for n in (*one.notes, *other.notes) if "CPU" in n or "INVALID" in n]


def test_processor_time_is_labelled_and_few_repetitions_are_invalid(measured) -> None:
    found = results.read(measured())
    absent = {"energy_joules": "no battery"}
    (chapter,) = learning.chapters(
        learned(found, lambda i: {"learning_cpu_s": 16.0}, absent, count=2)
    )
    assert chapter.title == "accuracy gained per CPU-second"
    assert chapter.figures[0].values == [pytest.approx(5.0)]
    assert "Not per joule: energy is unavailable because local: no battery." in chapter.notes
    assert any(note.startswith("INVALID (too few repetitions)") for note in chapter.notes)


def test_a_pass_that_failed_says_why(measured) -> None:
    found = results.read(measured())
    (cell, *_) = found.by_cell
    failed = dataclasses.replace(found.by_cell[cell][0], absent={"iteration_ms": "no data"})
    material = Material.of(dataclasses.replace(found, learning={cell: (failed,)}))
    (chapter,) = learning.chapters(material)
    assert "(no data)" in chapter.notes[0]


def test_a_plan_names_its_samples_and_only_training_learns(tmp_path: Path) -> None:
    for name in ("train.npz", "test.npz"):
        (tmp_path / name).touch()
    plan = plan_file.parse(TEXT, folder=tmp_path)
    assert [plan.kinds(c) for c in plan.cells] == [("timing", "learning"), ("timing",)]
    assert plan.eval_data == str(tmp_path / "test.npz")
    assert set(publishing._paths(plan).values()) == {"train.npz", "test.npz"}
    with pytest.raises(UsageError, match="samples for the learning pass on this machine"):
        plan_file.parse(TEXT.replace('data = "train.npz"', "", 1), folder=tmp_path)
    with pytest.raises(UsageError, match="no such file or folder"):
        plan_file.parse(TEXT.replace("train.npz", "gone.npz"), folder=tmp_path)
    away = TEXT.replace('eval_data = "test.npz"', 'devices = ["a=10.0.0.1:7000"]')
    assert plan_file.parse(away.replace('data = "train.npz"', "")).data == ""
    # A plan without is the one it was before there were learning passes.
    plain = plan_file.parse('name = "p"\n[[models]]\nname = "lenet"\n')
    assert plain.sha256.startswith("d283c7ec8c4596f5")
