"""A device trains on samples however they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfplus_agent.doctor
from tfplus.data.store.sample_store import SampleStore
from tfplus.model_file import artifact
from tfplus_agent.device.device import Device, DeviceConfig

MODEL = Path(tfplus_agent.doctor.__file__).parent / "probe" / "model.tflite"
X = np.random.default_rng(0).integers(0, 17, (40, 8, 8, 1)).astype(np.uint8)
# In the order of their classes, as folders have them.
Y = np.arange(40) // 4


def npz(folder: Path) -> Path:
    np.savez(folder / "d.npz", x=X, y=Y)
    return folder / "d.npz"


def images(folder: Path) -> Path:
    for at in range(40):
        (folder / str(Y[at])).mkdir(exist_ok=True)
        Image.fromarray(X[at, :, :, 0]).save(folder / str(Y[at]) / f"{at:02}.png")
    return folder


def store(folder: Path) -> Path:
    with SampleStore(folder / "s.db", create=True) as opened:
        for x, y in zip(X, Y, strict=True):
            opened.add(x, int(y))
    return folder / "s.db"


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[Callable[[Path], Path], str], dict[str, Any]]:
    def train(stored: Callable[[Path], Path], name: str) -> dict[str, Any]:
        (tmp_path / name).mkdir()
        data = stored(tmp_path / name)
        device = Device(DeviceConfig(name, tmp_path / f"{name}-state", data, data, threads=1))
        try:
            read, content = artifact.read(MODEL), MODEL.read_bytes()
            device.models.add(read.sha256, len(content), [content])
            device.load(read.sha256)
            assert device.train_samples == 40
            summary = device.train(2, seed=3)
            assert summary.steps == 6
            assert device.evaluate().samples == 40
            return device.weights()
        finally:
            device.close()

    return train


@pytest.mark.slow
def test_images_train_as_the_same_arrays_and_a_store_as_itself(trained: Any) -> None:
    found = {
        name: trained(stored, name)
        for name, stored in (("npz", npz), ("images", images), ("one", store), ("again", store))
    }
    for one, other in (("npz", "images"), ("one", "again")):
        for name, weights in found[one].items():
            np.testing.assert_array_equal(weights, found[other][name])
