"""A system in a process of its own: what it answers, and what is told of one that fails."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tfplus.measure.alternation import Limit, Plan, in_turn

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Three lines that every system's script has, and what it does instead of training.
START = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS / "systems")!r})
from protocol import answer, own_output
print("a greeting that is no answer")
out = own_output()
"""


@pytest.fixture
def timed_process(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("support.timed_process")


def command(tmp_path: Path, text: str) -> list[str]:
    script = tmp_path / "system.py"
    script.write_text(START + text)
    return [sys.executable, str(script)]


def test_blocks_of_a_process_are_what_it_answered(
    timed_process: ModuleType, tmp_path: Path
) -> None:
    text = """
print("noise of the system goes to standard error")
answer(out, lambda limit: [limit.iterations + limit.seconds] * 2, {"version": "x 1"})
"""
    with timed_process.TimedProcess("x", command(tmp_path, text)) as process:
        process.start()
        assert process.about == {"version": "x 1"}
        assert process.peak_rss_bytes is None
        plan = Plan(blocks=2, each=Limit(3, 0.25), warm_up=Limit(1, 0.5))
        blocks = in_turn({"x": process.run}, plan)["x"]
        assert [b.iteration_ms for b in blocks] == [(1.5, 1.5), (3.25, 3.25), (3.25, 3.25)]
        assert process.peak_rss_bytes > 1 << 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('out.write(\'{"error": "no such device"}\\n\')', "no such device"),
        ("import os; os._exit(3)", r"ends the process \(3\)"),
        ("import os; os.abort()", r"ends the process \(-6\)"),
        ("import threading; threading.Event().wait()", r"does not answer in 0\.5 s"),
    ],
)
def test_what_fails_is_told_by_name(
    timed_process: ModuleType, tmp_path: Path, text: str, said: str
) -> None:
    started = command(tmp_path, text)
    timeout_s = 0.5 if "Event" in text else 60.0
    with (
        timed_process.TimedProcess("x", started, timeout_s=timeout_s) as process,
        pytest.raises(timed_process.SystemFailedError, match=said) as raised,
    ):
        process.start()
    assert raised.value.system == "x"


def test_one_that_ends_between_blocks_is_told(timed_process: ModuleType, tmp_path: Path) -> None:
    text = """
import os
answer(out, lambda limit: os._exit(7), {"version": "x 1"})
"""
    with timed_process.TimedProcess("x", command(tmp_path, text)) as process:
        process.start()
        for _ in range(2):
            with pytest.raises(timed_process.SystemFailedError, match=r"ends the process \(7\)"):
                process.run(Limit(1))
