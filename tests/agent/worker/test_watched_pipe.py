"""Pipes that give up on a process that is there and does nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tfplus.errors import WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter
from tfplus.training.epoch import EpochPlan
from tfplus_agent.worker.client import WorkerClient
from tfplus_agent.worker.heartbeat import Heartbeat
from tfplus_agent.worker.messages import WorkerSetup
from tfplus_agent.worker.watched_pipe import SilentWorkerError, WatchedPipe

TIMEOUT_S = 30


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    read_fd, write_fd = os.pipe()
    with (
        os.fdopen(read_fd, "rb", buffering=0) as reader,
        os.fdopen(write_fd, "wb", buffering=0) as writer,
    ):
        yield reader, writer


def test_what_comes_is_read_and_the_end_too(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    reader, writer = pipe
    watched = WatchedPipe(reader, 5.0)
    writer.write(b"abc")
    assert watched.read(2) == b"ab"
    assert watched.read(9) == b"c"
    writer.close()
    assert watched.read(1) == b""


def test_a_silent_writer_is_given_up(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    idle: list[int] = []
    watched = WatchedPipe(pipe[0], 0.3, lambda: idle.append(1))
    with pytest.raises(SilentWorkerError, match=r"0\.3 s"):
        watched.read(1)
    assert len(idle) == 3


def test_a_reader_that_takes_nothing_is_given_up(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    watched = WatchedPipe(pipe[1], 0.2)
    rest = memoryview(bytes(10_000_000))
    with pytest.raises(SilentWorkerError):
        while rest:
            rest = rest[watched.write(rest) or 0 :]
    assert 0 < len(rest) < 10_000_000


def test_a_heart_beats_until_it_is_left() -> None:
    thrice = threading.Event()
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            thrice.set()

    with Heartbeat(beat, 0.01):
        assert thrice.wait(TIMEOUT_S)
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_one_that_computes_long_is_not(
    model: Artifact, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    limit_s = 4.0
    samples = 16 * 40_000
    setup = WorkerSetup(model.path, make_data(samples), None, interpreter.find().name, 1, True)
    worker = WorkerClient(setup, tmp_path / "log", limit_s)
    try:
        # One epoch without one event: the heartbeat alone keeps the worker.
        started = time.monotonic()
        plan = EpochPlan(1, 0, 0, 10**9, 10**9, 10**9)
        worker.train(plan, print, lambda: time.monotonic() - started > 1.5 * limit_s)
        assert time.monotonic() - started > limit_s
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerError, match="hung during 'save'"):
            worker.save()
        assert not worker.alive
    finally:
        worker.close()
