"""Weights that are read and set, and what a full disk or another model may not take."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from device_states import KERNEL, RATE, Open, all_values, equal, full_disk, kill_worker

from tfplus.errors import DataError, TensorError
from tfplus.model_file.artifact import Artifact
from tfplus_agent.storage.checkpoint_draft import StorageError


def test_a_model_that_cannot_be_loaded_leaves_all_steps(
    open_device: Open, toy: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    device.train(1, seed=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=2)
    assert device.trained_steps == 20
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    values = all_values(device)
    with pytest.raises(DataError):
        device.load(toy.sha256)
    assert device.trained_steps == 20
    assert equal(all_values(device), values)


def test_some_slices_can_be_set_and_the_rest_stays(open_device: Open) -> None:
    device = open_device()
    device.train(1, seed=1)
    before = all_values(device)
    ones = np.ones_like(before[KERNEL])
    device.set_weights({KERNEL: ones})
    assert equal(all_values(device), {**before, KERNEL: ones})
    kill_worker(device)
    device.close()
    assert equal(all_values(open_device(load=None)), {**before, KERNEL: ones})


def test_weights_are_selected_by_prefix_without_the_optimizer(open_device: Open) -> None:
    device = open_device()
    weights = {v.name for v in device.manifest.weights}
    assert set(device.weights()) == weights
    assert all(n.startswith("task/3/") for n in device.weights(["task/3"]))
    chosen = set(device.weights(["shared", "task/9"]))
    assert chosen == {n for n in weights if n.startswith(("shared/", "task/9/"))}
    with pytest.raises(TensorError, match="no slice under 'task/11'"):
        device.weights(["task/11"])
    with pytest.raises(TensorError, match="no slice under 'optimizer'"):
        device.weights(["optimizer"])
    assert "optimizer/learning_rate" in device.weights(["optimizer"], include_optimizer=True)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "no tensors came"),
        ({"shared/none": np.zeros(1, np.float32)}, "unknown .*shared/none"),
        ({KERNEL: np.zeros((1,), np.float32)}, r"expected float32\[16, 1\], got float32\[1\]"),
        ({KERNEL: np.zeros((1 << 20,), np.float32)}, "expected float32"),
        ({KERNEL: np.zeros((16, 1), np.int32)}, "got int32"),
        ({KERNEL: np.full((16, 1), np.nan, np.float32)}, "NaN"),
        ({RATE: np.array([np.inf], np.float32)}, "NaN or infinity"),
        (
            {RATE: np.array([-0.1], np.float32)},
            "learning_rate': expected values of at least 0 and at most 10000, .*, got -0.1",
        ),
        ({RATE: np.array([1e30], np.float32)}, "at most 10000, for it is a learning rate, got 1e"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(
    open_device: Open, tensors: dict[str, Any], message: str
) -> None:
    device = open_device()
    before = all_values(device)
    with pytest.raises(TensorError, match=message):
        device.set_weights(tensors)
    assert equal(all_values(device), before)


def test_a_full_disk_refuses_weights_and_keeps_what_there_was(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    device.train(1, seed=1)
    before = all_values(device)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError, match="No space left"):
            device.set_weights({KERNEL: before[KERNEL] + 1}, step=99)
    assert equal(all_values(device), before)
    assert device.trained_steps == 10
    device.set_weights({KERNEL: before[KERNEL] + 1}, step=99)
    assert device.trained_steps == 99


def test_training_that_a_full_disk_does_not_keep_stays_in_memory(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError, match="free some space"):
            device.train(1, seed=1)
    assert device.trained_steps == 10
    assert device.train(1, seed=2).trained_steps == 20


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_no_load_drops_steps_that_a_full_disk_does_not_take(
    open_device: Open,
    toy: Artifact,
    model: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    other: bool,
    fresh: bool,
) -> None:
    device = open_device()
    device.train(1, seed=1)
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=2)
        values = all_values(device)
        with pytest.raises(StorageError, match=r"10 steps of training are in memory alone.*free"):
            device.load(toy.sha256 if other else model.sha256, fresh=fresh)
        assert (device.trained_steps, device.model_sha256) == (20, model.sha256)
        assert equal(all_values(device), values)
    assert device.load(model.sha256) == 20
    assert equal(all_values(device), values)


def test_steps_in_memory_alone_are_written_when_the_agent_ends(
    open_device: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            device.train(1, seed=1)
    values = all_values(device)
    device.close()
    again = open_device(load=None)
    assert again.trained_steps == 10
    assert equal(all_values(again), values)


def test_a_model_that_cannot_be_loaded_leaves_the_one_before(
    open_device: Open, toy: Artifact
) -> None:
    device = open_device()
    device.train(1, seed=1)
    sha256 = device.model_sha256
    content = toy.path.read_bytes()
    device.models.add(toy.sha256, len(content), [content])
    with pytest.raises(DataError, match=r"takes \[4\]"):
        device.load(toy.sha256)
    assert device.model_sha256 == sha256
    assert device.train(1, seed=2).trained_steps == 20
