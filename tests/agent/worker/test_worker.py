"""The worker process: what it computes, and the ways it can end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.errors import ArtifactError, DataError, TensorError, WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter
from tfplus.training.epoch import EpochPlan, StepEvent
from tfplus_agent.worker import protocol
from tfplus_agent.worker.client import WorkerClient
from tfplus_agent.worker.messages import Done, Evaluate, WorkerSetup

TIMEOUT_S = 30


@pytest.fixture
def setup(model: Artifact, train_data: Path, eval_data: Path) -> WorkerSetup:
    return WorkerSetup(model.path, train_data, eval_data, interpreter.find().name, 1, True)


@pytest.fixture
def worker(setup: WorkerSetup, tmp_path: Path) -> Iterator[WorkerClient]:
    client = WorkerClient(setup, tmp_path / "worker.log")
    yield client
    client.close()


def plan(**changes: int) -> EpochPlan:
    fields = {"seed": 7, "epoch": 0, "first_step": 0, "steps_total": 10, "report_every": 1}
    return EpochPlan(**{**fields, "max_steps": 1000, **changes})


def train(worker: WorkerClient, **changes: int) -> list[StepEvent]:
    events: list[StepEvent] = []
    worker.train(plan(**changes), events.append, lambda: False)
    return events


def test_it_trains_as_the_interpreter_itself_does(
    worker: WorkerClient, model: Artifact, train_data: Path
) -> None:
    events = train(worker)
    with np.load(train_data) as arrays:
        x, y = arrays["x"].astype(np.float32) / 16, arrays["y"].astype(np.int32)
    it = interpreter.find().open(model.path, model.manifest, threads=1, xnnpack=True)
    order = np.random.default_rng([7, 0]).permutation(150)
    expected: list[float] = []
    for start in range(0, 150, 16):
        rows = order[start : start + 16]
        bx, by = np.zeros((16, 8, 8, 1), np.float32), np.full(16, -1, np.int32)
        bx[: len(rows)], by[: len(rows)] = x[rows], y[rows]
        it.step({"x": bx, "y": by})
        expected.append(it.metrics()["loss"])
    assert [e.step for e in events] == list(range(1, 11))
    assert [e.loss for e in events] == expected
    for name, value in it.save().items():
        np.testing.assert_array_equal(worker.save()[name], value)


def test_epochs_have_orders_of_their_own_and_seeds_repeat_them(worker: WorkerClient) -> None:
    start = worker.save()
    runs: list[list[float]] = []
    for changes in ({}, {}, {"epoch": 1}, {"seed": 8}):
        worker.restore(start)
        runs.append([e.loss for e in train(worker, **changes)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert runs[0] != runs[3]


def test_an_epoch_in_pieces_equals_a_whole_one(worker: WorkerClient) -> None:
    start = worker.save()
    whole = train(worker)
    after = worker.save()
    worker.restore(start)
    pieces = train(worker, max_steps=4)
    pieces += train(worker, skip=4, first_step=4, max_steps=1000)
    assert [(e.step, e.loss, e.metrics) for e in pieces] == [
        (e.step, e.loss, e.metrics) for e in whole
    ]
    for name, value in worker.save().items():
        np.testing.assert_array_equal(value, after[name])


def test_a_piece_ends_with_the_first_step_after_its_time(worker: WorkerClient) -> None:
    result = worker.train(plan(max_seconds=0), lambda event: None, lambda: False)
    assert len(result.step_ms) == 1


def test_a_loss_that_is_no_number_ends_it_at_its_step(worker: WorkerClient) -> None:
    rate = {"optimizer/learning_rate": np.array([1e30], np.float32)}
    worker.restore(worker.save() | rate)
    with pytest.raises(DataError, match=r"the loss is (nan|inf) at step [2-9];"):
        train(worker)


def test_it_reports_every_so_many_steps_and_the_last(worker: WorkerClient) -> None:
    assert [e.step for e in train(worker, report_every=4)] == [4, 8, 10]


def test_it_counts_right_answers_as_the_interpreter_does(
    worker: WorkerClient, model: Artifact, eval_data: Path
) -> None:
    train(worker)
    it = interpreter.find().open(model.path, model.manifest, threads=1, xnnpack=True)
    it.restore(worker.save())
    with np.load(eval_data) as arrays:
        x, y = arrays["x"].astype(np.float32) / 16, arrays["y"]
    padded = np.zeros((72, 8, 8, 1), np.float32)
    padded[:50] = x
    logits = np.concatenate([it.infer({"x": padded[i : i + 24]})["logits"] for i in (0, 24, 48)])[
        :50
    ]
    right = float((logits.argmax(1) == y).sum())
    found = worker.evaluate()
    assert (found.samples, found.known_samples, found.sums) == (50, 50, {"accuracy": right})
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    each = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(50), y]
    np.testing.assert_allclose(found.losses["loss"], each.mean(), rtol=1e-6)


def test_a_cancel_stops_it_in_mid_epoch_and_it_goes_on_afterwards(
    setup: WorkerSetup, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    large = WorkerSetup(setup.model, make_data(80_000), None, setup.runtime, 1, True)
    worker = WorkerClient(large, tmp_path / "log")
    events: list[StepEvent] = []
    try:
        whole = plan(max_steps=5000, steps_total=5000)
        result = worker.train(whole, events.append, lambda: len(events) >= 2)
        assert 2 <= len(result.step_ms) < 5000
        assert result.samples == 16 * len(result.step_ms)
        assert len(train(worker, max_steps=10)) == 10
    finally:
        worker.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_a_worker_that_dies_in_mid_training_says_of_what(
    worker: WorkerClient, number: signal.Signals
) -> None:
    def die(event: StepEvent) -> None:
        if event.step == 3:
            os.kill(worker.pid, signal.SIGSTOP)
            os.kill(worker.pid, number)
            os.kill(worker.pid, signal.SIGCONT)

    with pytest.raises(WorkerError, match=f"was killed by {number.name} during 'train'"):
        while True:
            worker.train(plan(), die, lambda: False)
    assert not worker.alive
    with pytest.raises(WorkerError, match=number.name):
        worker.save()


def test_it_ends_when_its_parent_is_killed(setup: WorkerSetup, tmp_path: Path) -> None:
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from tfplus_agent.worker.client import WorkerClient\n"
        "from tfplus_agent.worker.messages import WorkerSetup\n"
        f"w = WorkerClient(WorkerSetup(Path({str(setup.model)!r}), Path({str(setup.data)!r}), "
        f"None, {setup.runtime!r}, 1, True), Path({str(tmp_path / 'log')!r}))\n"
        "print(w.pid, flush=True); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        try:
            parent.kill()
            ended, _, _ = select.select([handle], [], [], TIMEOUT_S)
            assert ended, "the worker outlived its parent"
        finally:
            os.close(handle)


def test_what_the_c_library_prints_does_not_get_between_messages() -> None:
    chatter = (
        "import os, sys; from tfplus_agent.worker import process as worker\n"
        "original = worker.Worker.answer\n"
        "def loud(self, request):\n"
        "    os.write(1, b'INFO: noise'); print('more noise', flush=True)\n"
        "    assert sys.stdin.read() == ''\n"
        "    return worker.Done()\n"
        "worker.Worker.answer = loud\n"
        "worker.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", chatter],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        protocol.send(process.stdin, Evaluate())
        assert protocol.receive(process.stdout) == Done()
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
        assert b"more noise" in process.stderr.read()


def test_an_error_of_the_users_making_leaves_it_alive(worker: WorkerClient) -> None:
    values = worker.save()
    name = next(iter(values))
    with pytest.raises(TensorError, match="NaN"):
        worker.restore({**values, name: np.full_like(values[name], np.nan)})
    assert worker.alive
    assert len(train(worker)) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((20, 28, 28, 1))}, r"\[28, 28, 1\].*takes \[8, 8, 1\]"),
        ({"y": np.full(20, 12)}, r"label 12 .*\[0, 1, 2"),
        ({"x": np.full((20, 8, 8, 1), np.nan)}, "NaN"),
    ],
)
def test_data_that_does_not_fit_is_refused_at_load(
    setup: WorkerSetup,
    make_data: Callable[..., Path],
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    bad = WorkerSetup(setup.model, make_data(20, **changes), None, setup.runtime, 1, True)
    with pytest.raises(DataError, match=message):
        WorkerClient(bad, tmp_path / "log")


def test_a_file_that_is_no_graph_harms_the_worker_alone(
    toy: Artifact, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_data(20, x=np.zeros((20, 4), np.float32), y=np.full(20, 7))
    bad = WorkerSetup(toy.path, data, None, interpreter.find().name, 1, True)
    # ai-edge-litert refuses such a file; tflite-runtime 2.14 ends the process.
    with pytest.raises((ArtifactError, WorkerError), match=r"does not take this model|was killed"):
        WorkerClient(bad, tmp_path / "log")
