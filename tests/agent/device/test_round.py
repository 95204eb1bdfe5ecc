"""A gossip round on a real device: state leaves the worker once, and is written and hashed once."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_ring import Gossip

from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors import slice_set
from tfplus_agent.device.device import Device
from tfplus_agent.gossip.rounds import Rounds
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.checkpoints import Checkpoint
from tfplus_agent.worker.client import WorkerClient

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

Open = Callable[..., Device]
NEVER = lambda: False  # noqa: E731
ALWAYS = lambda: True  # noqa: E731


def mixed(state: Checkpoint) -> Checkpoint:
    """What an average might be: other weights, and the optimizer's state as it was trained."""
    others = {n: t * np.float32(0.5) for n, t in state.tensors.items() if n.startswith("shared/")}
    return Checkpoint(state.step, state.tensors.replaced(others))


def held(device: Device) -> dict[str, Any]:
    """What the worker has."""
    assert device._slot.session is not None
    return device._slot.session.worker().save()


def assert_holds(device: Device, state: Checkpoint) -> None:
    assert device.trained_steps == state.step
    for name, value in held(device).items():
        np.testing.assert_array_equal(value, state.tensors[name], err_msg=name)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often state left a worker or entered one, and what was hashed how often."""
    counts: Counter[str] = Counter()
    save, restore, digest = WorkerClient.save, WorkerClient.restore, slice_set.tensor_hash

    def hashed(array: np.ndarray) -> bytes:
        found = digest(array)
        counts[found.hex()] += 1
        return found

    def out(worker: WorkerClient) -> Any:
        counts["out"] += 1
        return save(worker)

    def back(worker: WorkerClient, tensors: Any) -> None:
        counts["in"] += 1
        restore(worker, tensors)

    monkeypatch.setattr(WorkerClient, "save", out)
    monkeypatch.setattr(WorkerClient, "restore", back)
    monkeypatch.setattr(slice_set, "tensor_hash", hashed)
    return counts


def test_a_round_takes_state_out_once_and_writes_and_hashes_it_once(
    open_device: Open, adam_model: Artifact, tmp_path: Path, counted: Counter[str]
) -> None:
    device = open_device(load=adam_model)
    summary, state = device.train_round(2, seed=1, cancelled=NEVER)
    assert state is not None
    assert (summary.steps, state.step, device.trained_steps) == (20, 20, 20)
    folder = tmp_path / "state" / "checkpoints" / adam_model.sha256
    assert not folder.exists()
    # As for the messages to the neighbours.
    weights = state.tensors.only(device.manifest.expected(weights_only=True))
    assert weights.hashes() == weights.hashes()
    average, kept = mixed(state), list[Path]()
    device.commit(average, kept.append)
    assert kept == list(folder.iterdir())
    assert device.evaluate() is not None
    assert (counted.pop("out"), counted.pop("in")) == (1, 1)
    assert set(counted.values()) == {1}
    assert_holds(device, average)


def test_a_worker_that_dies_after_training_costs_nothing(
    open_device: Open, adam_model: Artifact
) -> None:
    device = open_device(load=adam_model)
    _, state = device.train_round(1, seed=1, cancelled=NEVER)
    assert state is not None
    average = mixed(state)
    kill(device)
    device.commit(average, lambda _: None)
    assert device.evaluate() is not None
    assert_holds(device, average)
    # And after the commit.
    kill(device)
    assert device.evaluate() is not None
    assert_holds(device, average)


def kill(device: Device) -> None:
    assert device._slot.session is not None
    worker = device._slot.session.supervisor.worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker._process.wait()


def test_a_worker_that_dies_while_it_takes_the_average_takes_it_later(
    open_device: Open, adam_model: Artifact
) -> None:
    device = open_device(load=adam_model)
    _, state = device.train_round(1, seed=1, cancelled=NEVER)
    assert state is not None
    average = mixed(state)
    assert device._slot.session is not None
    worker = device._slot.session.supervisor.worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    # It is alive when it is asked, and dies with the request unread.
    device.commit(average, lambda _: threading.Timer(0.2, worker.kill).start())
    assert_holds(device, average)


def test_a_full_disk_at_the_commit_leaves_the_trained_state_in_memory(
    open_device: Open, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device()
    _, state = device.train_round(1, seed=1, cancelled=NEVER)
    assert state is not None

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError):
            device.commit(mixed(state), lambda _: None)
    assert_holds(device, state)


def test_what_was_stopped_is_on_disk(open_device: Open) -> None:
    device = open_device()
    summary, state = device.train_round(1, seed=1, cancelled=ALWAYS)
    assert (summary.steps, state) == (0, None)
    kept = list[Path]()
    device.settle(kept.append)
    device.settle(kept.append)
    assert len(set(kept)) == 1
    assert kept[0].exists()


@pytest.mark.parametrize("cut_off", ["in training", "before the average"])
def test_a_run_that_was_cut_off_in_a_round_ends_as_an_undisturbed_one(
    open_device: Open,
    adam_model: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut_off: str,
) -> None:
    plan = pb.GossipPlan(run_id="run", rounds=3, epochs_per_round=1, seed=3, round_timeout_s=1)

    opened: list[Gossip] = []

    def end(device: Device) -> pb.GossipEvent:
        opened.append(Gossip(device))
        opened[-1].runner.start(plan)
        *_, last = opened[-1].runner.watch("run", 0, ALWAYS)
        return last

    undisturbed = open_device(load=adam_model, state_dir=tmp_path / "whole")
    assert end(undisturbed).state == pb.GossipEvent.FINISHED
    device = open_device(load=adam_model)
    real, seeds = Rounds.train, list[int]()

    def cut(rounds: Rounds, round: int, *told: Any) -> Any:
        seeds.append(round)
        if round == 2 and cut_off == "in training":
            opened[-1].jobs.cancel("run")
        trained = real(rounds, round, *told)
        if round == 2:
            opened[-1].jobs.cancel("run")
        return trained

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "train", cut)
        assert end(device).state == pb.GossipEvent.STOPPED
    assert seeds == [1, 2]
    # Whatever is learned besides is no part of the run.
    device.train(1, seed=99)
    device.close()
    again = open_device(load=None)
    assert end(again).state == pb.GossipEvent.FINISHED
    assert again.trained_steps == undisturbed.trained_steps == 30
    values = held(again)
    for name, value in held(undisturbed).items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)
    for gossip in opened:
        gossip.jobs.close()
