"""A device trains on a store of samples to which an app adds while it trains."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfplus_agent.doctor
from tfplus.data.store.sample_store import SampleStore
from tfplus.model_file import artifact
from tfplus_agent.device.device import Device, DeviceConfig

MODEL = Path(tfplus_agent.doctor.__file__).parent / "probe" / "model.tflite"
X = np.random.default_rng(0).integers(0, 17, (90, 8, 8, 1)).astype(np.uint8)
# Batches of 16: three an epoch, of the larger store five.
FIRST, LATER = 40, 40


def stored(folder: Path) -> Path:
    folder.mkdir()
    with SampleStore(folder / "s.db", create=True) as opened:
        for at in range(FIRST):
            opened.add(X[at], at % 10)
    return folder / "s.db"


@contextmanager
def opened(data: Path) -> Generator[Device]:
    device = Device(DeviceConfig("d", data.parent / "state", data, None, threads=1))
    try:
        read, content = artifact.read(MODEL), MODEL.read_bytes()
        if read.sha256 not in device.models:
            device.models.add(read.sha256, len(content), [content])
        if device.loaded_as is None:
            device.load(read.sha256)
        yield device
    finally:
        device.close()


def growing(data: Path) -> Callable[[Any], None]:
    """Adds samples at the first step that is told."""

    def on_step(event: Any) -> None:
        if event.step == 1:
            with SampleStore(data) as store:
                for at in range(FIRST, FIRST + LATER):
                    store.add(X[at], at % 10)

    return on_step


@pytest.mark.slow
def test_what_is_added_joins_the_next_epoch_also_of_a_training_that_goes_on(tmp_path: Path) -> None:
    one, other = stored(tmp_path / "one"), stored(tmp_path / "other")
    with opened(one) as device:
        done = device.train(2, 5, growing(one))
        # As many steps as were asked for when it began; the second epoch has five batches.
        assert (done.steps, done.samples) == (6, FIRST + 3 * 16)
        assert device.train_samples == FIRST + LATER
        undisturbed = device.weights(include_optimizer=True)
    with opened(other) as device:
        # It ends in mid-epoch, after samples have come that are not of this epoch.
        assert device.train(2, 5, growing(other), max_steps=2).steps == 2
    with opened(other) as device:
        assert device.train(2, 5, max_steps=6, done_steps=2).samples == 8 + 3 * 16
        resumed = device.weights(include_optimizer=True)
    assert resumed.hashes() == undisturbed.hashes()
