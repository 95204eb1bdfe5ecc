"""What the repository promises about itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(p for p in (ROOT / "scripts").iterdir() if p.is_file())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse_and_can_be_run(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=30)
    if not script.name.startswith("_"):
        assert script.stat().st_mode & 0o111
        assert script.read_text().startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize(
    "name",
    [
        "test",
        "protos",
        "arm64-root",
        "arm64-run",
        "test-arm64",
        "software-vulkan",
        "postgresql",
        "doctor-model",
        "test-runtimes",
        "test-tensorflow",
    ],
)
def test_scripts_explain_themselves(name: str) -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / name), "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert f"scripts/{name}" in done.stdout
    assert not re.search(r"^#|set -euo", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("file", sorted(ROOT.glob("constraints*.txt")), ids=lambda p: p.name)
def test_locks_pin_versions_and_name_no_place(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 3
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+( ; [^;/]+)?", line), line


def test_every_core_dependency_is_locked() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.findall(r'^\s+"([A-Za-z0-9._-]+)(?:\[[a-z]+\])?[>=<]=', project, re.MULTILINE)
    locked = "\n".join(f.read_text().lower() for f in ROOT.glob("constraints*.txt"))
    assert len(listed) > 10
    for name in listed:
        assert f"\n{name.lower().replace('_', '-').replace('.', '-')}==" in locked, name
