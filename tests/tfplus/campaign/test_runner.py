"""Campaigns that stop and go on: no run has two results in the journal, and none is missing."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tfplus.benchmark.repetition import Answer
from tfplus.campaign import journal, results, runner
from tfplus.campaign.planning import schedule
from tfplus.campaign.planning.plan import Plan
from tfplus.errors import BusyError, DataError, UsageError, WorkerError

# Runs the plan in a process; the third argument says after how many results it kills itself.
_KILLED = """
import json, os, signal, sys
from pathlib import Path
from tfplus.benchmark.repetition import Answer
from tfplus.campaign import devices, runner
from tfplus.campaign.planning import plan_file
from tfplus.measure.result import Environment
here = Environment("board", "x86_64", "os", "6.1", "cpu", 2, None, 1, "3.11", "0.1", None)
left = int(sys.argv[3])
def measure(request, timeout_s):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return Answer("fake 1", (9.0, 2.0, 2.0, 2.0), {})
plan = plan_file.parse(Path(sys.argv[1]).read_text())
device = devices.Local(measure, here, 1 << 30)
runner.run(plan, Path(sys.argv[2]), open_device=lambda name, address: device)
"""


def test_killed_twice_it_goes_on_and_no_run_has_two_results(
    tmp_path: Path, toy, plan: Plan
) -> None:
    file, folder = tmp_path / "campaign.toml", tmp_path / "result"
    file.write_text(
        f'name = "toy"\nrepetitions = 5\niterations = 9\n[[models]]\nfile = "{toy.path}"\n'
    )
    codes = [
        subprocess.run([sys.executable, "-c", _KILLED, file, folder, str(left)]).returncode
        for left in (3, 6, 99)
    ]
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    events = journal.read(folder)
    done = Counter(e["key"] for e in events if e["event"] == "done")
    wanted = {one.key for one in schedule.runs(plan, "local")}
    assert set(done) == wanted
    assert len(wanted) == plan.runs == 20
    assert set(done.values()) == {1}
    # Two runs were cut off; they alone began twice.
    assert sum(e["event"] == "begin" for e in events) == 22
    assert sum(e["event"] == "start" for e in events) == 3


def test_a_line_that_was_cut_off_is_measured_anew(measured) -> None:
    folder = measured()
    path = folder / journal.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert len(journal.read(folder)) == whole.count(b"\n") - 1
    measured()
    done = [e["key"] for e in journal.read(folder) if e["event"] == "done"]
    assert len(done) == len(set(done)) == 20
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(DataError, match=r"journal.jsonl:1"):
        results.read(folder)


def test_every_iteration_is_kept_and_warm_up_labelled(measured, plan: Plan, tmp_path: Path) -> None:
    found = results.read(measured())
    assert found.plan == plan
    rows = list(found.rows())
    assert len(rows) == 20 * 9
    assert [r for r in rows if r[8]] == [r for r in rows if r[9] == 50.0]
    found.write_csv(tmp_path / "rows.csv")
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1 + 20 * 9


def test_blocks_hold_every_cell_once_between_two_references(plan: Plan) -> None:
    order = schedule.runs(plan, "local")
    for block in range(plan.repetitions):
        inner = [one for one in order if one.block == block]
        assert [inner[0].reference, inner[-1].reference] == ["begin", "end"]
        assert {one.cell for one in inner[1:-1]} == set(plan.cells)
    other = dataclasses.replace(plan, seed=plan.seed + 1)
    assert order == schedule.runs(plan, "local") != schedule.runs(other, "local")


def test_the_folder_of_another_plan_or_machine_is_refused(measured, plan, tmp_path) -> None:
    folder = measured()
    before = (folder / journal.NAME).read_bytes()
    with pytest.raises(UsageError, match="holds the result of another plan"):
        runner.run(dataclasses.replace(plan, seed=5), folder, open_device=_never)
    other = dataclasses.replace(results.read(folder).result.environment, cores=8)
    with pytest.raises(UsageError, match=r"began on another machine .cores: 2 and 8"):
        measured(here=other)
    assert (folder / journal.NAME).read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="expected a new folder or that of a result"):
        measured("full")
    with journal.opened(folder), pytest.raises(BusyError, match="runs there already"):
        measured()


def test_what_fails_and_what_does_not_fit_is_recorded(measured) -> None:
    def fails(request, timeout_s):
        raise WorkerError("the process was killed by SIGABRT")

    found = results.read(measured("failed", fails))
    assert {r.absent["iteration_ms"] for r in found.result.repetitions} == {
        "the process was killed by SIGABRT"
    }
    found = results.read(measured("small", memory_bytes=10))
    assert all("does not fit memory" in r.absent["iteration_ms"] for r in found.result.repetitions)


def test_what_failed_runs_again_when_asked_to_and_nothing_else(measured) -> None:
    calls: list[str] = []

    def fails_in_training(request, timeout_s):
        calls.append(request.phase)
        if request.phase == "train":
            raise WorkerError("out of memory")
        return Answer("fake 1", (9.0, 2.0, 2.0), {})

    def works(request, timeout_s):
        calls.append(request.phase)
        return Answer("fake 1", (9.0, 3.0, 3.0), {})

    folder = measured("r", fails_in_training)
    assert measured("r", works) == folder
    assert Counter(calls) == {"train": 15, "infer": 5}
    measured("r", works, again=True)
    assert Counter(calls) == {"train": 30, "infer": 5}
    found = results.read(folder)
    assert {c.phase: {r.median_ms for r in reps} for c, reps in found.by_cell.items()} == {
        "train": {3.0},
        "infer": {2.0},
    }
    # The failures are still in the journal, each before it was asked for again.
    done = Counter(e["key"] for e in journal.read(folder) if e["event"] == "done")
    assert Counter(done.values()) == {2: 15, 1: 5}
    measured("r", works, again=True)
    assert len(calls) == 35


def test_too_little_disk_is_said_before_anything_is_written(
    measured, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage)
    with pytest.raises(UsageError, match="free disk"):
        measured("new")
    assert not (tmp_path / "new").exists()


def _never(name, address):
    pytest.fail("nothing should run")


class _Usage:
    free = 10


def test_a_disk_that_fills_up_loses_nothing_that_was_written(measured, monkeypatch) -> None:
    write, room = os.write, [2000]

    def limited(file: int, content: bytes) -> int:
        if len(content) > room[0]:
            if room[0]:
                write(file, content[: room[0]])
            room[0] = 0
            raise OSError(28, "No space left on device")
        room[0] -= len(content)
        return write(file, content)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "write", limited)
        measured()
    done = [e["key"] for e in journal.read(measured()) if e["event"] == "done"]
    assert len(done) == len(set(done)) == 20
