"""The graph for the GPU that an export adds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keras
import pytest
from keras import layers
from resnet8 import resnet8

from tfplus.errors import ExportError
from tfplus.model_file import artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Adam
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.targets.targets import Runtime
from tfplus_export.variants import gpu_graph

Run = Callable[..., tuple[int, str, str]]
SMALL = ("zoo:digits", "-o", "m.tflite", "--batch-size", "4", "--accelerator", "gpu")

pytestmark = pytest.mark.slow


def without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
        monkeypatch.setenv(name, "/nonexistent")


def test_without_a_gpu_its_operators_are_looked_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(monkeypatch)
    code, _, error = run(*SMALL)
    assert code == 0, error
    read = artifact.read(Path("m.tflite"))
    (entry,) = read.manifest.accelerated
    assert "table" in entry.checked_by
    assert len(artifact.accelerated_graph(read, "gpu") or b"") == entry.size_bytes
    assert [r["on"] for r in read.manifest.parity["gpu"]["runs"]] == ["CPU"]


def test_an_operator_that_the_gpu_lacks_is_named_and_nothing_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(monkeypatch)
    known = targets.gpu_runtime()
    fewer = {n: v for n, v in known.operators.items() if n != "BATCH_MATMUL"}
    lacking = Runtime(known.name, known.version, fewer)
    monkeypatch.setattr(targets, "gpu_runtime", lambda: lacking)
    code, _, error = run(*SMALL)
    assert code == 4
    assert "BATCH_MATMUL" in error
    assert not Path("m.tflite").exists()


def test_a_gpu_that_ends_its_process_is_told_with_the_way_around_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Path(__file__).parents[2] / "agent" / "faulty_gpu"
    monkeypatch.setenv("PYTHONPATH", str(faulty), prepend=os.pathsep)
    monkeypatch.setenv("FAULTY_GPU", "abort 0")
    code, _, error = run(*SMALL)
    assert code == 4
    assert "SIGABRT" in error
    assert "VK_ICD_FILENAMES=none" in error
    assert not Path("m.tflite").exists()


def test_an_accelerator_that_nobody_knows_is_a_mistake(run: Run) -> None:
    code, _, error = run("zoo:digits", "-o", "m.tflite", "--accelerator", "tpu")
    assert code == 2
    assert "gpu" in error


def test_a_gradient_that_is_rounding_alone_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_driver(monkeypatch)
    # A bias in front of a batch normalization, twice, so that the second's inputs have a gradient.
    model = keras.Sequential([keras.Input((8, 8, 3))])
    for _ in range(2):
        model.add(layers.Conv2D(8, 3, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(3))
    source = Source("biased", model, None, None, None, Preprocessing(), None)
    options = Options(4, optimizer=Adam(), parity_steps=1, accelerators=("gpu",))
    read = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    (ran,) = read.manifest.parity["gpu"]["runs"]
    assert ran["update"] <= 1e-3


@pytest.mark.usefixtures("gpu_present")
def test_biases_in_front_of_batch_normalizations_train_on_the_delegate(tmp_path: Path) -> None:
    """Adam moves them by rounding, on each device by another."""
    model = resnet8()
    options = Options(4, optimizer=Adam(), parity_steps=2, accelerators=("gpu",))
    source = Source("resnet8", model, None, None, None, Preprocessing(), None)
    read = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    assert [r["on"] for r in read.manifest.parity["gpu"]["runs"]] == ["CPU", "GPU"]
    assert all(r["update"] <= 1e-3 for r in read.manifest.parity["gpu"]["runs"])
    # All but those of the shortcuts, which end in a sum.
    convolutions = [x.name for x in model.layers if isinstance(x, layers.Conv2D)]
    in_front = [f"shared/{n}/bias" for n in convolutions if n not in shortcuts(model)]
    assert sorted(read.manifest.rounding("gpu")) == sorted(in_front)


def shortcuts(model: keras.Model) -> list[str]:
    return [
        x.name for x in model.layers if isinstance(x, layers.Conv2D) and x.kernel_size == (1, 1)
    ]


@pytest.mark.usefixtures("gpu_present")
def test_a_layer_whose_whole_gradient_is_small_trains_on_the_delegate(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(8, 3)])
    for _ in range(2):
        model.add(layers.GroupNormalization(8))
        model.add(layers.BatchNormalization())
        model.add(layers.Conv2D(8, 1))
    model.add(layers.BatchNormalization())
    model.add(layers.Flatten())
    model.add(layers.Dense(3))
    source = Source("groups", model, None, None, None, Preprocessing(), None)
    options = Options(4, optimizer=Adam(), parity_steps=1, accelerators=("gpu",))
    read = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    shifts = {"shared/group_normalization/beta", "shared/group_normalization_1/beta"}
    assert shifts < read.manifest.rounding("gpu")
    assert all(r["update"] <= 1e-3 for r in read.manifest.parity["gpu"]["runs"])


@pytest.mark.usefixtures("gpu_present")
def test_a_normalization_over_one_channel_trains_on_the_delegate(tmp_path: Path) -> None:
    """The mean over one channel is the channel, so that it differs from itself by nothing."""
    keras.utils.set_random_seed(0)
    series = keras.Input((6, 1))
    y = layers.LayerNormalization()(series)
    y = layers.Flatten()(layers.MultiHeadAttention(1, 2)(y, y) + series)
    model = keras.Model(series, layers.Dense(3)(y))
    source = Source("series", model, None, None, None, Preprocessing(), None)
    options = Options(4, optimizer=Adam(), parity_steps=1, accelerators=("gpu",))
    read = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    assert all(r["update"] <= 1e-3 for r in read.manifest.parity["gpu"]["runs"])


@pytest.mark.usefixtures("gpu_present")
def test_a_recurrent_layer_and_a_frozen_one_behind_it_train_on_the_delegate(tmp_path: Path) -> None:
    rows = [keras.Input((5, 3)), layers.GRU(4, return_sequences=True), layers.LSTM(3)]
    frozen = layers.Dense(40, trainable=False)
    model = keras.Sequential([*rows, frozen, layers.Dense(3)])
    options = Options(4, parity_steps=1, accelerators=("gpu",))
    source = Source("rows", model, None, None, None, Preprocessing(), None)
    read = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    runs = {r["on"]: r for r in read.manifest.parity["gpu"]["runs"]}
    assert runs["GPU"]["loss"] <= 1e-5
    assert runs["GPU"]["update"] <= 1e-5


@pytest.mark.usefixtures("gpu_present")
def test_what_the_delegate_does_not_take_is_named_with_its_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = keras.Input((4,), dtype="int32")
    rows = layers.Flatten()(layers.Embedding(5, 2, name="words")(words))
    model = keras.Model(words, layers.Dense(3)(rows))
    # The lowering for the CPU; the delegate looks up by one axis of indices at most.
    monkeypatch.setattr(gpu_graph, "for_accelerators", lambda rules: rules)
    options = Options(4, parity_steps=1, accelerators=("gpu",))
    source = Source("words", model, None, None, None, Preprocessing(), None)
    with pytest.raises(ExportError, match=r"GATHER: .* of the layers 'words'"):
        api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    assert not (tmp_path / "m.tflite").exists()
