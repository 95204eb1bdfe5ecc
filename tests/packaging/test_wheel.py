"""What is installed: our modules and nothing else, with every command in place."""

from __future__ import annotations

import configparser
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREES = ("tfplus", "export/tfplus_export", "device_agent/tfplus_agent")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return next(out.glob("*.whl"))


def test_our_modules_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {n.partition("/")[0] for n in names}
    (info,) = (t for t in top if t.endswith(".dist-info"))
    assert top == {"tfplus", "tfplus_export", "tfplus_agent", info}
    assert not [n for n in names if "__pycache__" in n or n.endswith(".log")]
    # What `tfplus doctor` trains.
    probe = "tfplus_agent/doctor/probe/model.tflite"
    assert [n for n in names if n.endswith(".tflite")] == [probe]


def test_no_module_was_left_behind(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    for tree in TREES:
        for file in (ROOT / tree).rglob("*.py"):
            assert file.relative_to((ROOT / tree).parent).as_posix() in packed
    for package in ("tfplus", "tfplus_export", "tfplus_agent"):
        assert f"{package}/py.typed" in packed


def test_licence_and_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {n.partition(".dist-info/")[2]: n for n in archive.namelist()}
        metadata = archive.read(files["METADATA"]).decode()
        assert "licenses/LICENSE" in files
    assert "License-Expression: Apache-2.0" in metadata
    core = [
        line
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]
    assert sorted(line.split()[1].partition(">")[0] for line in core) == [
        "grpcio",
        "numpy",
        "protobuf",
        "rich",
        "safetensors",
        "typer",
    ]


def test_entry_points_load(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(name).decode())
    assert dict(parser["console_scripts"]) == {"tfplus": "tfplus.cli.entry:main"}
    assert set(parser["tfplus.commands"]) == {"agent", "export"}
    for section in parser.sections():
        for target in parser[section].values():
            module, _, attribute = target.partition(":")
            assert getattr(importlib.import_module(module), attribute)
