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

from tfplus.decoupling import plan_folder
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
def test_a_cnn_is_trained_cut_by_class_and_learned_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run(
        [*DEMO, "--decoupled", "--rounds", "1", "--json", "-o", str(folder)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    cut = result["decoupled"]
    assert cut["accuracy"]["before"] > 0.9
    assert cut["accuracy"]["pruned"] < cut["accuracy"]["recalibrated"] < cut["accuracy"]["before"]
    plan = plan_folder.read(folder / "plan")
    assert cut["plan_id"] == plan.plan_id
    weights = load_file(folder / "recomposed.safetensors")
    assert set(weights) == set(plan.weights)
    values = artifact.initial_values(artifact.read(folder / "recomposed.tflite"))
    for name, tensor in weights.items():
        np.testing.assert_array_equal(values[name], tensor)
    assert result == json.loads((folder / "result.json").read_text())
    assert result["bytes_sent"] == sum(r["bytes_sent"] for r in result["by_round"]) > 0
    # A device that knows five digits of ten cannot be right more often than they come up.
    assert max(result["alone_accuracy"]) < 0.55
    assert "<svg" in (folder / "report.html").read_text()
    assert "before the cut" in done.stderr
    # Half of the branches: no more than the shared layers and half of the rest can be left.
    costs = plan.costs
    for device, counted in zip(result["devices"], cut["devices"], strict=True):
        assert device["branches"] == device["classes"]
        branches = sum(costs.branches[c].step_flops or 0 for c in device["classes"])
        assert counted["branches_step_flops"] == branches
        assert counted["step_flops"] > branches
        assert counted["saving"] == pytest.approx(cut["step_flops"] / counted["step_flops"])
        assert counted["saving"] > 2
    # The desk's digits are nobody's else.
    with np.load(folder / "data" / "desk.npz") as desk:
        dealt = sum(d["samples"] for d in result["devices"])
        assert dealt + len(desk["y"]) + result["held_out_samples"] == 1797
    assert agents_of(folder) == []


@pytest.mark.parametrize(
    "phase",
    [
        "exporting",
        pytest.param("round 1:", marks=pytest.mark.exhaustive),
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
