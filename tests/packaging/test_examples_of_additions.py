"""Examples of a new sensor and a new codec: one file, one entry, and they keep the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tfplus", "device_agent", "tests")
EXAMPLES = {
    "new-sensor.diff": ("tests/agent/telemetry/test_sensor_contract.py", "fan"),
    "new-codec.diff": ("tests/tfplus/codecs/test_codec_contract.py", "bfloat16"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_one_new_file_and_one_entry(name: str) -> None:
    lines = (ROOT / "docs" / name).read_text("utf-8").splitlines()
    new, registry = (i for i, line in enumerate(lines) if line.startswith("--- "))
    assert lines[new] == "--- /dev/null"
    changed = [line for line in lines[registry + 2 :] if line[:1] in "+-"]
    imported, entry = changed
    assert imported.startswith("+from ")
    assert entry.startswith("+    ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_held_to_the_contract(name: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "export")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run(["git", "apply", str(ROOT / "docs" / name)], cwd=tmp_path, check=True)
    contract, added = EXAMPLES[name]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", contract, "-k", added, "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{tmp_path / 'device_agent'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
