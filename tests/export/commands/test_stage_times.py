"""`tfplus export --timings`: every stage with its seconds."""

from __future__ import annotations

import io
import json

from rich.console import Console

from tfplus_export.commands import stage_times
from tfplus_export.pipeline.stages import stage

# What a plain export runs: nothing for accelerators, freezing or features.
EXTRA = {stage.ACCELERATE, stage.BAKE, stage.FEATURES}


def test_the_sum_of_the_stages_is_the_whole_and_what_is_done_twice_is_added_up() -> None:
    at = iter([0.0, 2.0, 5.0, 6.0, 10.0])
    told: list[str] = []
    times = stage_times.StageTimes(told.append, "importing", lambda: next(at))
    for text in ("tracing", "comparing", "tracing"):
        times(text)
    seconds = times.end()
    assert told == ["tracing", "comparing", "tracing"]
    assert seconds == {"importing": 2.0, "tracing": 7.0, "comparing": 1.0}
    out = io.StringIO()
    stage_times.show(Console(file=out, width=60), seconds)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["tracing", "7.00", "70"] in [[w for w in line if w != "│"] for line in lines]
    assert ["together", "10.00", "100"] in [[w for w in line if w != "│"] for line in lines]


def test_an_export_says_where_its_time_went(run) -> None:
    model = "zoo:fc-d1-w8", "--input-shape", "4,4,1", "--classes", "2", "--parity-steps", "1"
    code, out, err = run(*model, "-o", "a.tflite", "--timings", "--json")
    assert code == 0, err
    seconds = json.loads(out)["stage_seconds"]
    want = [s.doing for s in stage.STAGES if s not in EXTRA]
    assert [doing for doing in seconds if doing in want] == want
    assert all(taken >= 0 for taken in seconds.values())
    code, out, err = run(*model, "-o", "b.tflite", "--timings")
    assert code == 0, err
    assert stage.COMPARE.doing in out
    assert "together" in out
    code, out, err = run(*model, "-o", "c.tflite")
    assert code == 0, err
    assert stage.COMPARE.doing not in out
