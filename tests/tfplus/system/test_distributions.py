"""Versions by folders' names, beside what Python's own reader finds in the folders."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from tfplus.system import distributions


def test_every_installed_distribution_has_the_version_that_its_metadata_says() -> None:
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    assert len(names) > 10
    ours = {name: distributions.version(name) for name in names}
    assert ours == {name: importlib.metadata.version(name) for name in names}


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("ai_edge_litert-2.1.0.dist-info", "ai-edge-litert", "2.1.0"),
        ("AI.Edge_LiteRT-2.1.0rc1.dist-info", "ai-edge-litert", "2.1.0rc1"),
        ("tflite_runtime-2.14.0-py3.11.egg-info", "tflite-runtime", "2.14.0"),
        ("tflite_runtime-2.14.0+pi.dist-info", "tflite_runtime", "2.14.0+pi"),
        ("ai_edge_litert_nightly-2.2.0.dev1.dist-info", "ai-edge-litert", None),
        ("ai_edge_litert", "ai-edge-litert", None),
    ],
)
def test_folders_as_tools_name_them(
    folder: str, name: str, version: str | None, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir()
    assert distributions.version(name, [str(tmp_path)]) == version


def test_the_folder_that_python_imports_from_first_counts(tmp_path: Path) -> None:
    for place, version in ("a", "1.0"), ("b", "2.0"):
        (tmp_path / place / f"thing-{version}.dist-info").mkdir(parents=True)
    path = [str(tmp_path / place) for place in ("absent", "b", "a")]
    assert distributions.version("thing", path) == "2.0"
