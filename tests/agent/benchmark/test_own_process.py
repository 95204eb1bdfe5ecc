"""A repetition in its own process: what it answers comes through whatever its libraries print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfplus.benchmark.own_process import OwnProcess
from tfplus.benchmark.repetition import Request
from tfplus.errors import WorkerError
from tfplus.model_file.artifact import Artifact

# Drivers print where they like, also half a line; and some speak last, as they are taken down.
_CHATTY = """
import atexit, os, sys
from tfplus_agent.benchmark import process, timing

def run(opened):
    os.write(1, b"Trying the loader.")
    return timing.run(opened)

process._PASSES = {"timing": run}
atexit.register(os.write, 2, b"INFO: a driver is taken down\\n")
sys.exit(process.main())
"""


@pytest.fixture
def chatty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "chatty_pass.py").write_text(_CHATTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return "chatty_pass"


def test_a_library_that_prints_does_not_cut_the_answer(model: Artifact, chatty: str) -> None:
    told: list[float] = []
    answer = OwnProcess(Request(str(model.path), "train", 1, 4), 60.0, chatty).run(told.extend)
    assert len(answer.iteration_ms) == 4
    assert told == list(answer.iteration_ms)
    assert answer.model_sha256 == model.sha256


def test_the_reason_is_its_own_and_not_what_a_driver_said_last(tmp_path: Path, chatty: str) -> None:
    nowhere = tmp_path / "nowhere.tflite"
    with pytest.raises(WorkerError) as error:
        OwnProcess(Request(str(nowhere), "train", 1, 4), 60.0, chatty).run()
    assert str(nowhere) in str(error.value)
    assert "driver" not in str(error.value)
