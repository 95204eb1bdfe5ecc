"""Weights that no training is changing are read from the checkpoint and set through it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.tensors.hashing import tensor_hash
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.device.device import Device

KERNEL = "task/3/logit/kernel"
Open = Callable[..., Device]


def worker_values(device: Device) -> dict[str, Any]:
    assert device._slot.session is not None
    return device._slot.session.worker().save()


def newest(tmp_path: Path) -> Path:
    return max((tmp_path / "state" / "checkpoints").glob("*/*.safetensors"))


def test_what_is_set_is_on_disk_at_once_and_in_the_worker_at_its_next_use(
    open_device: Open, tmp_path: Path
) -> None:
    device = open_device()
    before = device.weights(include_optimizer=True)
    ones = np.ones((16, 1), np.float32)
    device.set_weights(SliceSet({KERNEL: ones}, {KERNEL: tensor_hash(ones)}))
    assert ones.tobytes() in newest(tmp_path).read_bytes()
    held = worker_values(device)
    for name, value in {**before, KERNEL: ones}.items():
        np.testing.assert_array_equal(held[name], value)
    assert device.evaluate() is not None


def test_weights_at_rest_come_with_their_hashes_and_equal_the_workers(open_device: Open) -> None:
    device = open_device()
    assert device.weights().known_hashes == {}
    device.train(1, seed=1)
    values = device.weights(include_optimizer=True)
    hashes = values.known_hashes
    held = worker_values(device)
    assert set(values) == set(hashes) == set(held)
    for name, value in values.items():
        np.testing.assert_array_equal(value, held[name])
        assert hashes[name] == tensor_hash(value)


def test_damage_behind_the_agents_back_does_not_reach_what_is_set(
    open_device: Open, tmp_path: Path
) -> None:
    device = open_device()
    device.train(1, seed=1)
    held = worker_values(device)
    file = newest(tmp_path)
    about, content = file.stat(), bytearray(file.read_bytes())
    at = content.find(held["shared/conv1/kernel"].tobytes())
    assert at > 0
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"\1\2\3\4")
    # As a card does that forgets bits: nothing but the content says so.
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    ones = np.ones((16, 1), np.float32)
    device.set_weights({KERNEL: ones})
    for name, value in device.weights().items():
        np.testing.assert_array_equal(value, ones if name == KERNEL else held[name])
