"""Cycles are left alone during an export, and searched for again behind it."""

from __future__ import annotations

import gc
from pathlib import Path

from tfplus_export.pipeline.api import Options, export
from tfplus_export.sources.source import load


def test_an_export_leaves_the_search_as_it_was(tmp_path: Path) -> None:
    source = load("zoo:fc-d1-w8", input_shape=(4, 4, 1), classes=(0, 1), seed=0)
    inside: list[bool] = []
    options = Options(batch_size=4, parity_steps=1)
    export(source, tmp_path / "m.tflite", options, lambda text: inside.append(gc.isenabled()))
    assert inside
    assert not any(inside)
    assert gc.isenabled()
