"""What becomes of whole results: tables, merged and published folders, many devices."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import sys
from collections import Counter
from pathlib import Path

import pytest

import tfplus.campaign
from tfplus.benchmark.repetition import Answer, Measure
from tfplus.campaign import devices, journal, merging, publishing, results, runner, table_file
from tfplus.campaign.planning import plan_file, schedule
from tfplus.campaign.planning.plan import Plan
from tfplus.errors import MissingExtraError, UsageError
from tfplus.measure.result import Environment
from tfplus.model_file.artifact import Artifact

HERE = Environment("board", "x86_64", "os", "6.1", "cpu", 2, None, 1 << 30, "3.11", "0.1", None)


def made(request, timeout_s: float) -> Answer:
    return Answer("made 1", (9.0, *[2.0] * (request.iterations - 1)), {}, {"why": request.path})


def ran(plan: Plan, folder: Path, measure: Measure = made) -> Path:
    runner.run(plan, folder, open_device=lambda n, a: devices.Local(measure, HERE, 1 << 30))
    return folder


def plan_of(toy: Artifact, *names: str, seed: int = 0, repetitions: int = 1) -> Plan:
    listed = ", ".join(f'"{name}"' for name in names)
    return plan_file.parse(
        f'name = "t"\nseed = {seed}\nrepetitions = {repetitions}\niterations = 3\n'
        f'phases = ["train"]\ndevices = [{listed}]\n[[models]]\nfile = "{toy.path}"\n'
    )


def test_two_hundred_devices_at_once_lose_no_row(toy: Artifact, tmp_path: Path) -> None:
    plan = plan_of(toy, *(f"d{i}=10.0.0.1:{i + 1}" for i in range(200)))
    folder = ran(plan, tmp_path / "r")
    done = Counter(e["key"] for e in journal.read(folder) if e["event"] == "done")
    assert set(done) == {r.key for name in plan.devices for r in schedule.runs(plan, name)}
    assert set(done.values()) == {1}
    found = results.read(folder)
    assert len(list(found.rows())) == 200 * 3 * 3
    assert len(found.environments) == 200


def test_a_full_disk_ends_all_lanes_and_nothing_written_is_lost(
    toy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(toy, *(f"d{i}=10.0.0.1:{i + 1}" for i in range(4)), repetitions=5)
    count, add = itertools.count(), journal.os.write

    def limited(file: int, content: bytes) -> int:
        if next(count) == 20:
            add(file, content[:10])
            raise OSError(28, "No space left on device")
        return add(file, content)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(journal.os, "write", limited)
        ran(plan, tmp_path / "r")
    folder = ran(plan, tmp_path / "r")
    done = Counter(e["key"] for e in journal.read(folder) if e["event"] == "done")
    assert len(done) == plan.runs == 4 * 5 * 3
    assert set(done.values()) == {1}


def test_merged_results_hold_every_row_of_both(toy: Artifact, tmp_path: Path) -> None:
    both = [ran(plan_of(toy, f"{n}=10.0.0.1:5"), tmp_path / n) for n in ("one", "two")]
    merging.merge(both, tmp_path / "all")
    found = results.read(tmp_path / "all")
    rows = [row for folder in both for row in results.read(folder).rows()]
    assert sorted(found.rows()) == sorted(rows)
    assert [cell.device for cell in found.by_cell] == ["one", "two"]
    assert found.environments == {"one": HERE, "two": HERE}
    assert found.drift("two", 0) == 0.0
    with pytest.raises(UsageError, match="the device 'one' is in another result, too"):
        merging.merge([both[0], both[0]], tmp_path / "no")
    other = ran(plan_of(toy, "three=h:1", seed=7), tmp_path / "three")
    with pytest.raises(UsageError, match=r"the plan differs in seed .7, in .*one 0"):
        merging.merge([both[0], other], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_nothing_personal_is_published(toy: Artifact, tmp_path: Path) -> None:
    own = "kitchen-pi"
    said = ("at /home/anna/net.tflite on kitchen-pi (192.168.7.9:5051), ", "see 192.168.7.9")

    def told(request, timeout_s: float) -> Answer:
        return dataclasses.replace(made(request, timeout_s), absent={"x": "".join(said)})

    plan = plan_of(toy, f"{own}=192.168.7.9:5051")
    folder = ran(plan, tmp_path / "r", told)
    published = publishing.publish(folder, tmp_path / "out")
    for file in (tmp_path / "out").iterdir():
        text = file.read_text()
        for word in (own, "192.168", "anna", str(tmp_path), str(toy.path.parent)):
            assert word not in text, (file.name, word)
    found = results.read(tmp_path / "out")
    assert found.plan == published
    times = [row[9] for row in results.read(folder).rows()]
    assert [row[9] for row in found.rows()] == times
    assert found.environments["device-1"].cpu_model == "cpu"
    (repetition, *_) = found.result.repetitions
    assert repetition.absent["x"] == "at ~/net.tflite on device-1 (device-1), see device-1"


def test_the_rows_as_a_data_frame_and_as_parquet(toy: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = ran(plan_of(toy, "one=h:1"), tmp_path / "r")
    frame = tfplus.campaign.load(folder)
    rows = list(results.read(folder).rows())
    assert tuple(frame.columns) == results.COLUMNS
    assert frame["time_ms"].tolist() == [row[9] for row in rows]
    assert frame[~frame["is_warm_up"]]["time_ms"].median() == 2.0
    table_file.write(results.read(folder), tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column("time_ms").to_pylist() == [row[9] for row in rows]
    assert table.column("is_warm_up").to_pylist() == [row[8] for row in rows]
    assert b"tfplus.plan_sha256" in table.schema.metadata


def test_a_table_of_csv_is_whole_or_as_before(
    toy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = results.read(ran(plan_of(toy, "one=h:1"), tmp_path / "r"))
    path = tmp_path / "x.csv"
    table_file.write(found, path)
    whole = path.read_bytes()
    head, *rows = csv.reader(whole.decode().splitlines())
    assert tuple(head) == results.COLUMNS
    assert len(rows) == 9

    def full(self) -> object:
        yield b"half of it"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.Campaign, "_csv", full)
    with pytest.raises(OSError, match="No space left"):
        table_file.write(found, path)
    assert path.read_bytes() == whole
    with pytest.raises(UsageError, match=r"expected a name that ends in .csv or .parquet"):
        table_file.write(found, tmp_path / "x.xlsx")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tfplus\[campaign\]'"):
        tfplus.campaign.load(tmp_path / "r")
