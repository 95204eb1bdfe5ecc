"""Results as files: the same comes back, and what is none is refused by field."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import DataError, UsageError
from tfplus.measure import result_file
from tfplus.measure.comparison import compare
from tfplus.measure.result import Block, Configuration, Environment, Repetition, Result

PC = Environment(
    device="Acme Box 3",
    architecture="x86_64",
    os="Debian 12",
    kernel="6.1.0",
    cpu_model="Some CPU",
    cores=2,
    governor=None,
    memory_bytes=1 << 33,
    python="3.11.7",
    tfplus_version="0.1.0",
    tfplus_commit=None,
    absent={"governor": "no such file", "tfplus_commit": "not a clone"},
)


def ran(system: str, *times_ms: float, number: int = 0) -> Repetition:
    return Repetition(
        Configuration("lenet, batch 32", system, "litert 2.3.0", "ab" * 32, {"threads": 2}),
        number,
        True,
        (Block(-1, 0, True, (50.0,)), *(Block(i, 0, False, (t,)) for i, t in enumerate(times_ms))),
        {"peak_rss_bytes": 12345, "energy_j": None},
        {"energy_j": "no sensor"},
    )


RESULT = Result(
    "benchmarks/step.py",
    "2026-01-02T03:04:05+00:00",
    PC,
    {"blocks": 2},
    (ran("tfplus", 1.0, 2.0), ran("tensorflow", 1.5, 2.8)),
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    result_file.write(tmp_path / "r.json", RESULT)
    assert result_file.read(tmp_path / "r.json") == RESULT
    lines = tmp_path / "r.jsonl"
    other = dataclasses.replace(RESULT, started_at="later")
    lines.write_text(result_file.line(RESULT) + result_file.line(other))
    assert result_file.read_lines(lines) == [RESULT, other]


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=5))
def test_times_keep_a_tenth_of_a_nanosecond(times: list[float]) -> None:
    block = Block(0, 0, False, tuple(times))
    repetition = dataclasses.replace(RESULT.repetitions[0], blocks=(block,))
    found = result_file.from_json(
        json.loads(result_file.line(dataclasses.replace(RESULT, repetitions=(repetition,))))
    )
    assert found.repetitions[0].blocks[0].iteration_ms == pytest.approx(times, abs=1e-7)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (["schema_version"], 2, "expected schema_version 1, got 2"),
        (["benchmark"], None, "benchmark: expected a text, got None"),
        (["environment", "cores"], True, r"environment\.cores: expected an integer, got True"),
        (["environment", "absent"], {"os": 1}, r"environment\.absent\.os: expected a text"),
        (["settings"], {"a": []}, r"settings: expected texts, numbers, truth values and nulls"),
        (["settings"], {"a": float("nan")}, "settings: expected texts, numbers"),
        (["repetitions"], {}, "repetitions: expected a list, got {}"),
        (["repetitions", 1, "blocks", 0], 3, r"repetitions\[1\]\.blocks\[0\]: expected an object"),
        (["repetitions", 0, "blocks", 1, "iteration_ms"], [], "expected at least one time"),
        (["repetitions", 0, "blocks", 1, "iteration_ms"], [-1.0], "finite numbers of at least 0"),
        (["repetitions", 0, "blocks", 1, "iteration_ms"], [float("inf")], "finite numbers"),
        (["repetitions", 0, "configuration", "runtime"], 5, r"configuration\.runtime"),
    ],
)
def test_what_is_no_result_is_refused(place: list[Any], value: Any, said: str) -> None:
    described = copy.deepcopy(result_file.to_json(RESULT))
    inner: Any = json.loads(json.dumps(described))
    top = inner
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(DataError, match=said):
        result_file.from_json(top, "r.json")


def test_a_field_that_is_missing_is_named() -> None:
    described = json.loads(result_file.line(RESULT))
    del described["environment"]["governor"]
    with pytest.raises(DataError, match=r"r\.json: environment\.governor is missing"):
        result_file.from_json(described, "r.json")


def test_a_file_that_is_no_result_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(DataError, match="No such file"):
        result_file.read(path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"r\.json: expected JSON"):
        result_file.read(path)
    path.write_text("\n{}\n")
    with pytest.raises(DataError, match=r"r\.json:1: expected JSON"):
        result_file.read_lines(path)


def test_within_one_result_blocks_are_compared() -> None:
    found = compare(RESULT, RESULT, "lenet, batch 32", "tensorflow", "tfplus")
    # 1.5 in the first block and 1.4 in the second; the medians of all would give 1.43.
    assert found.value == pytest.approx(1.45)


def test_between_results_repetitions_are_compared() -> None:
    def of(*medians: float) -> Result:
        runs = [ran("tfplus", m, m, number=i) for i, m in enumerate(medians)]
        return dataclasses.replace(RESULT, repetitions=tuple(runs))

    found = compare(of(3.0, 3.1, 2.9), of(2.0, 2.1, 1.9), "lenet, batch 32", "tfplus")
    assert found.value == pytest.approx(1.5)
    assert 2.9 / 2.1 - 1e-9 <= found.low < 1.5 < found.high <= 3.1 / 1.9 + 1e-9


def test_unlike_environments_are_refused() -> None:
    pi = dataclasses.replace(PC, device="Raspberry Pi 5", cores=4, tfplus_version="0.2.0")
    other = dataclasses.replace(RESULT, environment=pi)
    with pytest.raises(
        UsageError, match=r"device: Acme Box 3 and Raspberry Pi 5; cores: 2 and 4\)"
    ):
        compare(RESULT, other, "lenet, batch 32", "tfplus")
    found = compare(RESULT, other, "lenet, batch 32", "tfplus", allow_unlike=True)
    assert found.value == 1.0
    newer = dataclasses.replace(PC, tfplus_version="0.2.0", tfplus_commit="abc")
    compare(RESULT, dataclasses.replace(RESULT, environment=newer), "lenet, batch 32", "tfplus")


def test_what_was_not_measured_is_named() -> None:
    with pytest.raises(DataError, match=r"no times of lenet, batch 32 / mnn; it has lenet"):
        compare(RESULT, RESULT, "lenet, batch 32", "mnn")
