"""`tfplus doctor`: every accelerator tried and compared, and what else stands in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.data import device_data
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter
from tfplus_agent.doctor import accelerators, examination, patient
from tfplus_agent.doctor.accelerators import Tried
from tfplus_agent.gpu import vulkan
from tfplus_agent.telemetry import processor

TIMEOUT_S = 120


def doctor(*arguments: str, python: str = sys.executable, **env: str) -> tuple[int, Any]:
    done = subprocess.run(
        [python, "-m", "tfplus_agent", "doctor", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=os.environ | env,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def faulty(fault: str) -> dict[str, str]:
    folder = Path(__file__).parents[1] / "faulty_gpu"
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "FAULTY_GPU": fault}


def test_the_probe_leads_where_tensorflow_led() -> None:
    probe = patient.probe()
    assert probe.expected is not None
    it = interpreter.find().open(probe.read.path, probe.read.manifest, threads=1, xnnpack=True)
    for _ in range(patient.STEPS):
        it.step(probe.batch)
    assert it.metrics()["loss"] == pytest.approx(probe.expected.loss, rel=1e-5)
    values = it.save()
    assert set(probe.expected.variables) == {v.name for v in probe.read.manifest.weights}
    for name, value in probe.expected.variables.items():
        np.testing.assert_allclose(values[name], value, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        ("none 0", "right", ""),
        ("wrong 0", "wrong", "computes wrongly"),
        ("abort 0", "fails", "SIGABRT"),
        ("raise 1", "fails", "Device lost"),
        ("full 0", "fails", "no room"),
    ],
)
def test_a_gpu_is_right_or_named(fault: str, status: str, says: str, tmp_path: Path) -> None:
    code, found = doctor("--state-dir", str(tmp_path / "state"), **faulty(fault))
    assert code == 0
    tried = {t["name"]: t for t in found["accelerators"]}
    for name in ("GPU, float32", "GPU, float16"):
        assert tried[name]["status"] == status
        assert says in tried[name]["says"]
    if status == "right":
        # This one is a CPU, which computes alike whatever it is told.
        assert "to the last bit" in tried["GPU, float16"]["says"]
    assert (tried["GPU, float32"]["device"] == "Faulty") == (status in ("right", "wrong"))
    assert tried["CPU, XNNPACK"]["status"] == tried["CPU, no XNNPACK"]["status"] == "right"
    assert len(found["warnings"]) == (0 if status == "right" else 2)
    assert found["trains"]
    assert not (tmp_path / "state").exists()


def test_the_gpu_is_given_rows_in_the_order_in_which_a_worker_takes_them(tmp_path: Path) -> None:
    probe = patient.probe()
    np.savez(tmp_path / "samples.npz", **probe.samples)
    manifest = probe.read.manifest
    held = device_data.load(tmp_path / "samples.npz", manifest, for_training=True)
    for epoch in (0, 1):
        rng = np.random.default_rng([0, epoch])
        taken = next(device_data.batches(held, manifest, manifest.batch_size, rng)).arguments
        for name, values in probe.batch_of(epoch).items():
            np.testing.assert_array_equal(taken[name], values)


def test_a_runtime_that_computes_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = patient.probe()
    assert probe.expected is not None
    wrong = patient.State(probe.expected.loss * 1.01, probe.expected.variables)
    reached = [wrong, wrong]
    tried = Tried("CPU", "some 1.0", "right")
    judged = accelerators._judged(tried, probe, reached, [])
    assert judged.status == "wrong"
    assert "loss" in judged.says
    right = [probe.expected, probe.expected]
    assert accelerators._judged(tried, probe, right, []) == tried


@pytest.mark.slow
def test_it_runs_with_the_older_runtime(tmp_path: Path) -> None:
    python = os.environ.get("TFPLUS_LEGACY_PYTHON")
    if not python:
        pytest.skip("TFPLUS_LEGACY_PYTHON names no Python with tflite-runtime")
    code, found = doctor("--state-dir", str(tmp_path), python=python)
    assert code == 0, found
    tried = {
        (t["runtime"].partition(" ")[0], t["name"]): t["status"] for t in found["accelerators"]
    }
    assert tried["tflite-runtime", "CPU, XNNPACK"] == "right"
    assert tried["tflite-runtime", "CPU, no XNNPACK"] == "right"
    assert tried["ai-edge-litert", "CPU"] == "absent"


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"no")
    code, said = doctor(str(tmp_path / "m.tflite"))
    assert code == 3
    assert "m.tflite" in said


@pytest.mark.slow
def test_a_users_model_is_tried_on_its_own_classes(
    make_artifact: Callable[..., Artifact], model: Artifact, tmp_path: Path
) -> None:
    toy = patient.of_file(make_artifact().path)
    index = toy.batch["y"]
    np.testing.assert_array_equal(toy.samples["y"], np.array([7, 2])[index])
    code, found = doctor(str(model.path), "--state-dir", str(tmp_path), **faulty("none 0"))
    assert code == 0
    assert {t["status"] for t in found["accelerators"] if t["name"].startswith("CPU, ")} == {
        "right"
    }
    assert "--accelerator gpu" in found["accelerators"][-1]["says"]


def examined(**changes: Any) -> examination.Examination:
    fields: dict[str, Any] = {
        "model": "m",
        "accelerators": [Tried("CPU, XNNPACK", "r 1", "right")],
        "gpus": [],
        "gpus_absent_reason": "none",
        "processor": processor.Processor(),
        "usable_cores": 1,
        "threads": 1,
        "readings": [],
        "storage": examination.Storage(Path("/s"), "", 10**9),
        "certificates": None,
        "versions": {},
    }
    return examination.Examination(**{**fields, **changes})


def test_what_stands_in_the_way_is_a_problem_and_the_rest_a_warning(tmp_path: Path) -> None:
    assert examined().problems == examined().warnings == []
    nothing = examined(accelerators=[Tried("CPU", "r", "absent", "not installed")])
    assert "no runtime" in nothing.problems[0]
    wrong = examined(accelerators=[Tried("CPU, XNNPACK", "r 1", "wrong", "off by 1")])
    assert "rightly" in wrong.problems[0]
    assert "off by 1" in wrong.warnings[0]
    (tmp_path / "file").write_text("x")
    blocked = examination.storage(tmp_path / "file" / "state")
    assert blocked.problem
    assert examined(storage=blocked).problems
    little = examination.Storage(Path("/s"), "", 5_000_000)
    assert "5 MB" in examined(storage=little).warnings[0]
    refused = examination.certificates(tmp_path)
    assert "ca.pem" in examined(certificates=refused).problems[0]


def test_a_state_directory_is_tried_and_not_made(tmp_path: Path) -> None:
    found = examination.storage(tmp_path / "a" / "b")
    assert found.problem == ""
    assert (found.free_bytes or 0) > 0
    assert list(tmp_path.iterdir()) == []


def test_cores_of_two_speeds(tmp_path: Path) -> None:
    for number in range(6):
        core = tmp_path / "sys/devices/system/cpu" / f"cpu{number}"
        (core / "cpufreq").mkdir(parents=True)
        fast = number >= 4
        (core / "cpu_capacity").write_text("1024\n" if fast else "398\n")
        (core / "cpufreq/cpuinfo_max_freq").write_text("2400000" if fast else "1800000")
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Some Board\0")
    found = processor.read(tmp_path)
    assert found.name == "Some Board"
    assert found.clusters == (
        processor.Cluster((4, 5), 2400.0, 1024),
        processor.Cluster((0, 1, 2, 3), 1800.0, 398),
    )
    assert "No such file" in processor.read(tmp_path / "none").absent_reason


def test_without_a_driver_vulkan_lists_nothing_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nonexistent")
    listed, reason = vulkan.devices()
    assert listed == []
    assert reason.endswith("VK_DRIVER_FILES names /nonexistent, which does not exist")


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
def test_a_gpu_is_named_with_its_driver() -> None:
    listed, reason = vulkan.devices()
    assert reason == ""
    assert all(d.name and d.driver and d.memory_bytes > 0 for d in listed)
    probe = patient.probe()
    found = accelerators.try_all(probe, 1, lambda what: None)
    on_gpu = [t for t in found if t.name.startswith("GPU")]
    assert [t.status for t in on_gpu] == ["right", "right"]
    assert {t.device for t in on_gpu} <= {d.name for d in listed}
    before = artifact.initial_values(probe.read)
    assert before
