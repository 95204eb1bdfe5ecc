"""Training on the GPU: the same numbers as on the CPU, or the CPU and the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.data import device_data
from tfplus.errors import ArtifactError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter
from tfplus.runtime.accelerator_process import Ran
from tfplus_agent.device.device import Device
from tfplus_agent.gpu import calibration

OpenDevice = Callable[..., Device]
NO_DRIVER = {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent"}


def losses(device: Device, **changes: Any) -> list[float]:
    found: list[float] = []
    device.train(1, 7, lambda step: found.append(step.loss), **changes)
    return found


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
def test_the_gpu_trains_as_the_cpu_does_and_goes_on_from_its_checkpoint(
    open_device: OpenDevice, gpu_model: Artifact, tmp_path: Path
) -> None:
    on_gpu = open_device(load=gpu_model, accelerator="gpu", state_dir=tmp_path / "gpu")
    on_cpu = open_device(load=gpu_model, accelerator="cpu", state_dir=tmp_path / "cpu")
    assert on_gpu.accelerator == ("gpu", "")
    assert on_cpu.accelerator == ("cpu", "")
    want = losses(on_cpu)
    np.testing.assert_allclose(losses(on_gpu, max_steps=4), want[:4], rtol=1e-4)
    on_gpu.close()
    again = open_device(load=None, accelerator="gpu", state_dir=tmp_path / "gpu")
    assert again.trained_steps == 4
    other = open_device(load=gpu_model, accelerator="cpu", state_dir=tmp_path / "other")
    losses(other, max_steps=4)
    np.testing.assert_allclose(losses(again), losses(other), rtol=1e-4)
    found, expected = again.weights(), other.weights()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5)
    here, there = again.evaluate(), other.evaluate()
    assert here is not None
    assert there is not None
    assert here.metrics == pytest.approx(there.metrics, abs=0.05)


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_steps_that_are_not_read_are_taken_all_the_same(
    open_device: OpenDevice, gpu_model: Artifact, tmp_path: Path, precision: str
) -> None:
    on_gpu = open_device(
        load=gpu_model,
        accelerator="gpu",
        loss_every=7,
        gpu_precision=precision,
        state_dir=tmp_path / "gpu",
    )
    assert on_gpu.accelerator == ("gpu", "")
    on_cpu = open_device(load=gpu_model, accelerator="cpu", state_dir=tmp_path / "cpu")
    summary = on_gpu.train(3, 7)
    # Of three epochs of ten steps, of which the last has 6 samples: in each the first step is read,
    # the seventh after it, and the last.
    assert (summary.steps, summary.samples, summary.read_samples) == (30, 450, 3 * (16 + 16 + 6))
    on_cpu.train(3, 7)
    # A step left out or taken twice moves the weights by about a thirtieth of their way; kernels
    # that round differently leave each other by a thousandth.
    tolerance = 5e-3 if precision == "float32" else 5e-2
    expected = on_cpu.weights()
    moved = artifact.initial_values(gpu_model)
    for name, value in on_gpu.weights().items():
        update = np.linalg.norm(expected[name] - moved[name])
        assert np.linalg.norm(value - expected[name]) <= tolerance * max(update, 1e-3), name


@pytest.mark.slow
def test_without_a_driver_it_is_the_cpu_and_the_reason(
    open_device: OpenDevice, gpu_model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NO_DRIVER.items():
        monkeypatch.setenv(name, value)
    device = open_device(load=gpu_model)
    accelerator, note = device.accelerator
    assert accelerator == "cpu"
    assert "no GPU" in note
    assert len(losses(device)) == 10


def test_a_file_without_a_graph_for_the_gpu_says_how_to_get_one(open_device: OpenDevice) -> None:
    accelerator, note = open_device(accelerator="gpu").accelerator
    assert accelerator == "cpu"
    assert "--accelerator gpu" in note


def test_auto_does_not_complain_of_a_file_without_a_graph(open_device: OpenDevice) -> None:
    assert open_device().accelerator == ("cpu", "")


@pytest.mark.parametrize(
    ("loss", "kernel", "says"),
    [
        (2.0, [1.5, 2.5], None),
        (2.001, [1.501, 2.501], None),
        (2.5, [1.5, 2.5], "loss of 2.5 where it should be 2"),
        (float("nan"), [1.5, 2.5], "loss of nan"),
        (2.0, [1.5, 2.4], "update that is off by"),
        (2.0, [1.5, np.inf], "update that is off by inf"),
        (2.0, [1.0, 2.0], "update that is off by 1"),
    ],
)
def test_a_gpu_that_computes_wrongly_is_found_out(
    loss: float, kernel: list[float], says: str | None
) -> None:
    before, want = {"k": np.array([1.0, 2.0])}, {"k": np.array([1.5, 2.5])}
    got = {"loss": np.array([loss]), "k": np.array(kernel)}
    found = calibration.difference(before, want, got, 2.0)
    assert found is None if says is None else says in str(found)


def test_a_gpu_may_be_off_where_other_kernels_of_the_cpu_are() -> None:
    before, want = {"k": np.array([1.0, 2.0])}, {"k": np.array([1.5, 2.5])}
    got = {"loss": np.array([2.0]), "k": np.array([1.5, 2.53])}
    assert "update that is off by 0.042" in str(calibration.difference(before, want, got, 2.0))
    own = calibration.errors(before, want, {**got, "k": np.array([1.49, 2.5])}, 2.0)
    assert calibration.difference(before, want, got, 2.0, own=own) is None
    # Kernels that are off by as much as an update tell nothing.
    own = calibration.errors(before, want, {**got, "k": np.array([1.0, 2.0])}, 2.0)
    got["k"] = np.array([1.5, 2.7])
    assert calibration.difference(before, want, got, 2.0, own=own) is not None


def test_a_gradient_that_is_rounding_alone_tells_nothing_of_a_gpu() -> None:
    """Adam moves a bias in front of a batch normalization as far as a kernel, either way."""
    kernel, bias = "shared/conv/kernel", "shared/conv/bias"
    square = f"optimizer/square/{bias}"
    before = {kernel: np.zeros(8), bias: np.zeros(2), square: np.zeros(2)}
    want = {kernel: np.full(8, 0.01), bias: np.full(2, 0.01), square: np.full(2, 1e-9)}
    got = {**want, bias: np.full(2, -0.01), square: np.full(2, 1e-8), "loss": np.array([2.0])}
    assert "update" in str(calibration.difference(before, want, got, 2.0))
    assert calibration.difference(before, want, got, 2.0, rounding={bias}) is None
    for wrong in ({bias: np.full(2, 1.0)}, {square: np.array([0.0, np.nan])}, {kernel: got[bias]}):
        wrong = {n: np.resize(v, want[n].shape) for n, v in wrong.items()}
        assert calibration.difference(before, want, got | wrong, 2.0, rounding={bias}) is not None


@pytest.mark.slow
def test_a_gpu_that_differs_is_held_to_other_kernels_of_the_cpu(
    gpu_model: Artifact, train_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = interpreter.find().open(gpu_model.path, gpu_model.manifest, threads=1, xnnpack=True)
    samples = device_data.load(train_data, gpu_model.manifest, for_training=True)
    batch = next(device_data.batches(samples, gpu_model.manifest, gpu_model.manifest.batch_size))
    before = model.save()
    model.step(batch.arguments)
    # Off by three hundredths of the update, in one direction.
    off = {n: v + 0.03 * (v - before[n]) for n, v in model.save().items()}
    reached = {**off, "loss": np.array([model.metrics()["loss"]])}
    model.restore(before)
    ran = Ran([reached] * 3, [1.0] * 3, "some GPU", is_software=False)
    monkeypatch.setattr(calibration.accelerator_process, "run", lambda *_: ran)

    class Unstable:
        """Kernels that are off by two hundredths in the other."""

        restore, step, metrics = model.restore, model.step, model.metrics

        def save(self) -> dict[str, np.ndarray]:
            return {n: v - 0.02 * (v - before[n]) for n, v in model.save().items()}

    def tried(other: Any) -> str:
        model.restore(before)
        return calibration.of(gpu_model, model, batch.arguments, "float32", lambda: other).objection

    assert tried(Unstable()) == ""
    assert "update that is off by 0.03" in tried(model)


@pytest.mark.slow
def test_a_damaged_graph_is_refused(gpu_model: Artifact, tmp_path: Path) -> None:
    content = bytearray(gpu_model.path.read_bytes())
    graph = artifact.accelerated_graph(gpu_model, "gpu")
    assert graph
    content[content.index(graph) + len(graph) // 2] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    damaged = artifact.read(path)
    with pytest.raises(ArtifactError, match=r"gpu\.tflite"):
        artifact.accelerated_graph(damaged, "gpu")
    model = interpreter.find().open(damaged.path, damaged.manifest, threads=1, xnnpack=True)
    assert "gpu.tflite" in calibration.of(damaged, model, {}).objection


@pytest.mark.slow
def test_other_values_keep_the_graph(gpu_model: Artifact, tmp_path: Path) -> None:
    name = gpu_model.manifest.weights[0].name
    values = {name: artifact.initial_values(gpu_model)[name] + 1}
    copy = artifact.with_values(gpu_model, values, tmp_path / "copy.tflite")
    assert artifact.accelerated_graph(copy, "gpu") == artifact.accelerated_graph(gpu_model, "gpu")
