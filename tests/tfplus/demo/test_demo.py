"""The whole of it: export, agents, gossip, result; and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tfplus.model_file import artifact

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-m", "tfplus", "demo"]


def agents_of(folder: Path) -> list[int]:
    """Processes that have the run folder on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in line:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_short_run_leaves_a_whole_result(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [*DEMO, "--rounds", "3", "--json", "-o", str(folder)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((folder / "result.json").read_text())
    assert [r["round"] for r in result["by_round"]] == [1, 2, 3]
    assert result["bytes_sent"] == sum(r["bytes_sent"] for r in result["by_round"]) > 0
    assert len(result["alone_accuracy"]) == 4
    # A device that knows five digits of ten cannot be right more often than they come up.
    assert max(result["alone_accuracy"]) < 0.55
    assert result["held_out_samples"] + sum(d["samples"] for d in result["devices"]) == 1797
    recomposed = artifact.read(folder / "recomposed.tflite")
    values = artifact.initial_values(recomposed)
    tensors = load_file(folder / "recomposed.safetensors")
    assert set(tensors) == {v.name for v in recomposed.manifest.weights}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(values[name], tensor)
    assert "<svg" in (folder / "report.html").read_text()
    assert agents_of(folder) == []


@pytest.mark.slow
def test_devices_learn_what_none_of_them_knows(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--json", "-o", str(tmp_path / "run")], capture_output=True, timeout=300, check=True
    )
    result = json.loads(done.stdout)
    assert result["global_accuracy"] >= 0.95
    assert result["central_accuracy"] - result["global_accuracy"] <= 0.02
    assert max(result["alone_accuracy"]) < 0.60


@pytest.mark.parametrize(
    "phase",
    [
        "exporting",
        pytest.param("training centrally", marks=pytest.mark.slow),
        pytest.param("round 1:", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_leaves_no_agent_behind(tmp_path: Path, phase: str) -> None:
    folder = tmp_path / "run"
    command = [*DEMO, "--rounds", "60", "-o", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if re.search(phase, line):
                break
        demo.send_signal(signal.SIGINT)
        demo.stderr.read()
        assert demo.wait(timeout=60) == 130
    assert agents_of(folder) == []


@pytest.mark.slow
def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen([*DEMO, "-o", str(folder)], stderr=subprocess.DEVNULL) as demo:
        # Five agents, the export, and the demo itself.
        while len(running := agents_of(folder)) < 7:
            assert demo.poll() is None
        handles = [os.pidfd_open(pid) for pid in running]
        demo.kill()
        for handle in handles:
            ended, _, _ = select.select([handle], [], [], 60)
            assert ended
            os.close(handle)


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    done = subprocess.run(
        [*DEMO, "-o", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "empty folder" in done.stderr
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_missing_package_is_told_before_anything_is_made(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow" / "sklearn"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError('none', name='sklearn')")
    done = subprocess.run(
        DEMO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(shadow.parent)},
    )
    assert done.returncode == 6
    assert "tfplus[demo]" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["shadow"]
