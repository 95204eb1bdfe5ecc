"""Processes of tiles that are killed in mid-step: what the benchmark proves, in one training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_no_step_is_lost_half_applied_or_applied_twice() -> None:
    script = ROOT / "benchmarks" / "tiles" / "kills.py"
    command = [sys.executable, str(script), "--kills", "1", "--seed", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = json.loads(done.stdout)
    # One training, in which all devices but one die.
    assert (found["trainings"], found["kills"], found["wrong"]) == (1, 3, [])
    assert sorted(found["still_s"]) == ["1", "2", "3"]
    # A step that was lost or applied twice would be seen.
    assert found["smallest_step"] > 100 * found["tolerance"]
    assert max(found["difference"], found["final_difference"]) <= found["tolerance"]
