"""A device installs `tfplus[agent]`: no TensorFlow, small, and helpful about what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 200 * 1000 * 1000
INSTALL_TIMEOUT_S = 900

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has `tfplus[agent]` and nothing else."""
    venv = tmp_path_factory.mktemp("device") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=120)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "-q", "--no-input"]
    subprocess.run(
        [*pip, "-c", str(ROOT / "constraints.txt"), f"{ROOT}[agent]"],
        check=True,
        timeout=INSTALL_TIMEOUT_S,
        cwd=venv,
    )
    return venv / "bin"


def tfplus(device: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(device / "tfplus"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


def test_no_tensorflow_and_small(device: Path) -> None:
    (packages,) = device.parent.glob("lib/python3*/site-packages")
    names = {p.name for p in packages.iterdir()}
    assert not names & {"tensorflow", "keras", "torch", "sklearn", "cryptography"}
    own = {"pip", "setuptools"}
    size = sum(
        f.lstat().st_size
        for p in packages.iterdir()
        if p.name.partition("-")[0] not in own
        for f in (p.rglob("*") if p.is_dir() else [p])
    )
    assert size < LIMIT_BYTES


def test_the_agent_is_there(device: Path, tmp_path: Path) -> None:
    done = tfplus(device, "agent", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--listen" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["export", "zoo:lenet", "-o", "x.tflite"], "export"),
        (["certs", "init", "ca"], "certs"),
        (["demo"], "demo"),
        (["server", "x.tflite", "--state-dir", "hub"], "server"),
    ],
)
def test_what_is_missing_is_named(
    device: Path, tmp_path: Path, arguments: list[str], extra: str
) -> None:
    done = tfplus(device, *arguments, cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert f"pip install 'tfplus[{extra}]'" in last
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_inspect_works_on_a_device(device: Path, tmp_path: Path) -> None:
    done = tfplus(device, "inspect", "none.tflite", cwd=tmp_path)
    assert done.returncode == 3
    assert "no such file" in done.stderr
