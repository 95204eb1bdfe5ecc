"""One activation at a ReLU's corner may strike both of few steps; a wrong gradient strikes all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.parity.candidate import Candidate
from tfplus_export.parity.errors.step_error import State
from tfplus_export.parity.samples.draw import Batch
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

KERNEL = "shared/conv/kernel"
STEPS_WITHOUT_XNNPACK = 1
FURTHER = 3


def strike(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Makes so many first steps of one gradient without XNNPACK wrong by half a per cent."""
    right = Candidate.errors
    taken = {True: 0, False: 0}

    def errors(
        self: Candidate, batch: Batch, before: State, after: State, rounding: Mapping[str, float]
    ) -> tuple[float, dict[str, float]]:
        loss, found = right(self, batch, before, after, rounding)
        taken[self.xnnpack] += 1
        if not self.xnnpack and taken[False] <= steps:
            found[KERNEL] = 5e-3
        return loss, found

    monkeypatch.setattr(Candidate, "errors", errors)


def export(file: Path) -> None:
    parts = [layers.Conv2D(2, 3, name="conv"), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *parts])
    source = Source("test", model, None, None, None, Preprocessing(), None)
    api.export(source, file, api.Options(6), lambda text: None)


def test_what_double_precision_finds_right_takes_further_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(monkeypatch, STEPS_WITHOUT_XNNPACK)
    export(tmp_path / "m.tflite")
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        name = next(n for n in archive.namelist() if n.endswith(".json"))
        plain = json.loads(archive.read(name))["parity"]["runs"][1]
    assert not plain["xnnpack"]
    assert plain["steps"] == STEPS_WITHOUT_XNNPACK + FURTHER
    assert plain["update"] < 1e-5
    assert plain["float64"] < 1e-6


def test_what_is_wrong_in_most_of_them_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(monkeypatch, STEPS_WITHOUT_XNNPACK + 2)
    with pytest.raises(
        ExportError,
        match=f"4 steps.* update 5.0e-03 .*worst at '{KERNEL}'.* In double precision both agree",
    ):
        export(tmp_path / "m.tflite")
    assert not np.any(list(tmp_path.iterdir()))
