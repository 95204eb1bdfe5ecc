"""The stages of an export: what is told while it runs, and what is named where it fails."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from keras import layers

from tfplus.errors import UnexpectedExportError
from tfplus.model_file.preprocessing import Preprocessing
from tfplus_export.pipeline import api, driver
from tfplus_export.pipeline.stages import stage
from tfplus_export.sources.source import Source


def source() -> Source:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="logits")], name="tiny")
    return Source("test:tiny", model, None, None, None, Preprocessing(), None)


def test_every_stage_is_told_by_its_name_in_the_order_of_the_list(tmp_path: Path) -> None:
    told: list[str] = []
    options = api.Options(4, parity_steps=1, accelerators=("gpu",), bakeable=True)
    api.export(source(), tmp_path / "m.tflite", options, told.append)
    # Nothing of this model is frozen in front of what trains.
    assert told == [s.doing for s in stage.STAGES if s is not stage.FEATURES]
    assert len({s.name for s in stage.STAGES}) == len(stage.STAGES)


def test_a_stage_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "within_limits", lambda *_: {}["x"])
    with pytest.raises(UnexpectedExportError, match=rf"^{stage.LIMITS.doing} failed \(KeyError"):
        api.export(source(), tmp_path / "m.tflite", api.Options(4), lambda text: None)
    assert list(tmp_path.iterdir()) == []
