"""Versions of the runtimes that fail on exported files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfplus.errors import RuntimeVersionError
from tfplus.runtime import interpreter, versions
from tfplus.system import distributions

ROOT = Path(__file__).resolve().parents[3]


def installed(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    def version(name: str) -> str | None:
        return found.get(name.replace("-", "_"))

    monkeypatch.setattr(distributions, "version", version)


@pytest.mark.parametrize(
    "version", ["1.0.1", "1.1.2", "1.2.0", "1.3.0", "1.4.0", "2.0.2", "2.0.2a1"]
)
def test_a_version_that_ends_the_process_is_refused_with_what_to_install(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, ai_edge_litert=version)
    with pytest.raises(RuntimeVersionError, match=r"pip install 'ai-edge-litert>=2\.1'") as raised:
        interpreter.find()
    assert version in str(raised.value)
    # Another runtime that is installed, too, is taken.
    installed(monkeypatch, ai_edge_litert=version, tflite_runtime="2.14.0")
    assert interpreter.find().name == "tflite-runtime"


def test_2_0_3_trains_without_xnnpack(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ai_edge_litert="2.0.3")
    assert "XNNPACK" in interpreter.find().xnnpack_warning


@pytest.mark.parametrize(
    "version", ["2.1.0rc1", "2.1.0", "2.1.6", "2.2.0", "2.3.0", "2.4.0.dev1", "3"]
)
def test_good_and_unknown_versions_are_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, ai_edge_litert=version)
    assert interpreter.find().xnnpack_warning == ""


def test_the_table_and_the_floor_agree() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    floors = re.findall(r'"ai-edge-litert>=([\d.]+)"', project)
    assert versions.FLOOR in floors
    for floor in floors:
        assert versions.fault("ai-edge-litert", floor) is None


def test_what_is_no_version_has_no_fault() -> None:
    assert versions.release("unknown") == ()
    assert versions.fault("ai-edge-litert", "") is None
