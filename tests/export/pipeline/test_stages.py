"""Whatever goes wrong within an export is said in words that name the layer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import pytest
from keras import layers

from tfplus.errors import ExportError, UnexpectedExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine.advice import OTHERWISE, advice
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.ops.elementwise import sigmoids
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages import trace
from tfplus_export.pipeline.stages.failures import guarded
from tfplus_export.sources.source import Source
from tfplus_export.train_step import training


@pytest.fixture
def source() -> Source:
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, activation="tanh", name="odd"), layers.Dense(2)]
    )
    return Source("test:odd", model, None, None, None, Preprocessing(), None)


def broken(*arguments: object) -> list[object]:
    raise IndexError("nothing there")


@pytest.mark.parametrize("part", ["forward", "gradient", "sources"])
def test_a_rule_that_fails_names_the_layer(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    tanh: Rule = dataclasses.replace(sigmoids.TANH, **{part: broken})
    monkeypatch.setattr(trace, "RULES", {**trace.RULES, "Tanh": tanh})
    with pytest.raises(ExportError, match=r"layer 'odd' \(Dense\), operation Tanh: .*nothing"):
        api.export(source, tmp_path / "x.tflite", api.Options(2), lambda text: None)
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_foresaw_is_no_traceback(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "build", lambda *_, **__: 1 // 0)
    with pytest.raises(UnexpectedExportError, match="tracing the training step failed") as raised:
        api.export(source, tmp_path / "x.tflite", api.Options(2), lambda text: None)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_batch_that_this_machine_cannot_hold_is_refused_before_conversion(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace.memory, "total_bytes", lambda: 10**9)
    told: list[str] = []
    with pytest.raises(ExportError, match=r"500000000 samples needs .* 1.0 GB of this") as raised:
        # 4 numbers a sample, no tensor of which TFLite could not count.
        api.export(source, tmp_path / "x.tflite", api.Options(5 * 10**8, 4), told.append)
    assert not any("convert" in text for text in told)
    most = int(str(raised.value).rpartition(" ")[2])
    api.export(source, tmp_path / "x.tflite", api.Options(8), told.append)
    assert 10**6 < most < 10**8


@pytest.mark.parametrize("error", [ExportError("known"), OSError("disk"), MemoryError()])
def test_what_has_words_of_its_own_keeps_them(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, guarded("converting"):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    ("kinds", "operations", "said"),
    [
        (("RandomFlip", "BaseImagePreprocessingLayer", "DataLayer"), ["Cos"], "to the data before"),
        # Of the layers around it, too: one within a pipeline of augmentations.
        (("Own", "RandAugment", "BaseImagePreprocessingLayer"), ["Cos"], "to the data before"),
        (("GaussianNoise",), ["FloorMod"], "Dropout"),
        (("Own",), ["Cos", "StatelessWhile"], "loop"),
        (("Own",), ["Cos"], OTHERWISE),
        ((), [], OTHERWISE),
    ],
)
def test_advice_is_one_thing_to_do(
    kinds: tuple[str, ...], operations: list[str], said: str
) -> None:
    assert said in advice(kinds, operations)
